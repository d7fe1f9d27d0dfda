"""The sections of the page. Every public function of these files that takes (found, known) is one, reached from here.

`found` is the analysis, `known` what is known beside the log; a section gives HTML: its figure under a title that
states the finding, its table. What is not known is one plain line, or nothing. A new section is its file and its cell.
"""

import importlib
import inspect
import pkgutil

__all__ = []

for _file in pkgutil.iter_modules(__path__):
    _module = importlib.import_module(f"{__name__}.{_file.name}")
    for _name, _made in inspect.getmembers(_module, inspect.isfunction):
        if not _name.startswith("_") and list(inspect.signature(_made).parameters) == ["found", "known"]:
            globals()[_name] = _made
            __all__ += [_name]
