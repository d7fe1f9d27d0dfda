"""Where data come from: the one list of sources. A new one is its file and a line here.

This module loads no library, so that a name can be checked before anything starts; the file of a source is loaded
when it is read.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from recab_helpers.errors import DataError, ParameterError, nearest
from recab_helpers.parameters import TrainParams

if TYPE_CHECKING:
    from recab_helpers.data.dataset import Dataset


@dataclass(frozen=True)
class Source:
    """One kind of data, known by its name, by a file of its folder, or by both.

    `reader` is a function of a module of this folder: it takes the folder or file (None where the source was named) and
    the parameters, and returns a checked `Dataset`.
    """

    reader: str
    name: str = ""
    mark: str = ""  # pattern of a file that only folders of this source hold

    def read(self, folder: Path | None, params: TrainParams) -> Dataset:
        """The data set, checked against its contracts."""
        module, _, function = self.reader.partition(".")
        return getattr(import_module(f"recab_helpers.data.{module}"), function)(folder, params)


OWN = "files.own_tables"
SOURCES = (
    Source("synthetic.from_parameters", name="synthetic"),
    Source("movielens.latest_small", name="ml-latest-small", mark="movies.csv"),
    Source("movielens.ml_100k", name="ml-100k", mark="u.data"),
    Source("movielens.ml_1m", mark="movies.dat"),
    Source(OWN, mark="interactions*"),
    Source(OWN, mark="part-*"),  # as Spark writes a table, and
    Source(OWN, mark="*=*"),  # one whose folders tell a column
)


def load_dataset(params: TrainParams) -> Dataset:
    """The data set that `params.dataset` names, checked against its contracts.

    It is the name of a source; a folder that holds the files of one, such as an unpacked MovieLens archive or own
    tables `interactions` and `catalog`; or a file of interactions.

    Raises:
        ParameterError: no such source, or columns and a catalog are named for a source that has its own.
        DataError: the data cannot be read or break a contract.
    """
    source, path = source_of(params)
    return source.read(path, params)


def source_of(params: TrainParams) -> tuple[Source, Path | None]:
    """The source that `params.dataset` means, and its folder or file, before anything is read of it.

    Raises:
        ParameterError: as `load_dataset`.
        DataError: a folder without the files of any source.
    """
    source, path = find_source(params.dataset)
    if source.reader != OWN and (params.data_columns or params.catalog_file or params.not_rated):
        raise ParameterError(
            f"dataset is {params.dataset!r}, whose columns, catalog and ratings are known. Leave data_columns, "
            "catalog_file and not_rated out, or name a file of interactions as dataset."
        )
    return source, path


def find_source(dataset: str) -> tuple[Source, Path | None]:
    """The source that the parameter `dataset` means, and its folder or file where it is one.

    Raises:
        ParameterError: neither the name of a source nor a folder or file.
        DataError: a folder without the files of any source.
    """
    named = {s.name: s for s in SOURCES if s.name}
    folder = Path(dataset).expanduser()
    if dataset in named and not (named[dataset].mark and folder.is_dir()):
        return named[dataset], None
    if folder.is_file():
        return Source(OWN), folder
    if not folder.is_dir():
        if "/" in dataset:
            raise ParameterError(f"dataset is {dataset!r}, but there is no such folder or file. Correct the path.")
        raise ParameterError(f"dataset has {dataset!r}. {nearest(dataset, named)}")
    for source in SOURCES:
        if source.mark and any(folder.glob(source.mark)):
            return source, folder
    from recab_helpers.data.files import contents_of

    raise DataError(
        f"The folder {folder} is none that recab knows. It needs a table interactions (user_id, item_id; rating and "
        "timestamp if there are) and, for models that read texts, a table catalog (item_id, title, text); or name your "
        f"own files and columns, such as dataset={folder}/FILE catalog_file={folder}/FILE "
        f"data_columns={{item_id: NAME}}. It holds {contents_of(folder)}."
    )
