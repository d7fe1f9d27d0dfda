"""Where data come from: the one list of sources. A new one is its file and a line here.

This module loads no library, so that a name can be checked before anything starts; the file of a source is loaded
when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from recab_helpers.errors import DataError, ParameterError
from recab_helpers.parameters import TrainParams, nearest

if TYPE_CHECKING:
    from recab_helpers.data.dataset import Dataset


@dataclass(frozen=True)
class Source:
    """One kind of data, known by its name, by a file of its folder, or by both.

    `reader` is a function of a module of this folder: it takes the folder (None where the source was named) and the
    parameters, and returns a checked `Dataset`.
    """

    reader: str
    name: str = ""
    mark: str = ""  # pattern of a file that only folders of this source hold

    def read(self, folder: Path | None, params: TrainParams) -> Dataset:
        """The data set, checked against its contracts."""
        module, _, function = self.reader.partition(".")
        return getattr(import_module(f"recab_helpers.data.{module}"), function)(folder, params)


SOURCES = (
    Source("synthetic.from_parameters", name="synthetic"),
    Source("movielens.latest_small", name="ml-latest-small", mark="ratings.csv"),
    Source("movielens.ml_100k", name="ml-100k", mark="u.data"),
    Source("files.own_tables", mark="interactions.*"),
)


def load_dataset(params: TrainParams) -> Dataset:
    """The data set that `params.dataset` names, checked against its contracts.

    It is the name of a source, or a folder that holds the files of one: an unpacked MovieLens archive, or own tables
    `interactions` and `catalog`, each as .parquet, .csv, .csv.gz or .tsv.
    """
    source, folder = find_source(params.dataset)
    return source.read(folder, params)


def find_source(dataset: str) -> tuple[Source, Path | None]:
    """The source that the parameter `dataset` means, and its folder where it is one.

    Raises:
        ParameterError: neither the name of a source nor a folder.
        DataError: a folder without the files of any source.
    """
    named = {s.name: s for s in SOURCES if s.name}
    folder = Path(dataset).expanduser()
    if dataset in named and not (named[dataset].mark and folder.is_dir()):
        return named[dataset], None
    if not folder.is_dir():
        if "/" in dataset:
            raise ParameterError(f"dataset is {dataset!r}, but there is no such folder. Correct the path.")
        raise ParameterError(f"dataset has {dataset!r}. {nearest(dataset, named)}")
    for source in SOURCES:
        if source.mark and any(folder.glob(source.mark)):
            return source, folder
    marks = ", ".join(s.mark for s in SOURCES if s.mark)
    raise DataError(
        f"The folder {folder} holds none of {marks}. Put interactions.csv and catalog.csv there, or name the folder "
        "of an unpacked MovieLens archive."
    )
