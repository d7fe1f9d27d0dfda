"""The Spark of this process, where it can start, and a log as a frame of it."""

import os
import shutil

import narwhals as nw

from recab_helpers.errors import DataError
from recab_helpers.impressions.reading import Reading
from recab_helpers.tables import kind_of, parts_of


def spark_is_there() -> None:
    """Refuse where Spark cannot start.

    Raises:
        DataError: PySpark or Java is missing.
    """
    try:
        import pyspark  # noqa: F401
    except ImportError as error:
        raise DataError("engine is spark, but PySpark is not installed. Run: pip install 'recab[spark]'.") from error
    if not os.environ.get("SPARK_REMOTE") and not os.environ.get("JAVA_HOME") and not shutil.which("java"):
        raise DataError("engine is spark, but there is no Java. Install Java 17, or set JAVA_HOME.")


def on_spark(path: str, how: Reading) -> nw.LazyFrame:
    """A Parquet file or folder as a frame of the Spark of this process, which begins as its own settings say.

    Raises:
        DataError: PySpark or Java is missing, or the file is no Parquet.
    """
    spark_is_there()
    from pyspark.sql import SparkSession

    parts = parts_of(path)
    if kind_of(parts[0]) != "parquet":
        raise DataError(
            f"engine is spark, which reads Parquet here; {path} is {kind_of(parts[0])}. Convert it to Parquet."
        )
    made = SparkSession.builder.appName("recab").config("spark.ui.showConsoleProgress", "false")
    session = made.config("spark.sql.session.timeZone", how.time_zone).getOrCreate()
    session.conf.set("spark.sql.session.timeZone", how.time_zone)
    session.sparkContext.setLogLevel("ERROR")
    return nw.from_native(session.read.parquet(os.path.abspath(path)))
