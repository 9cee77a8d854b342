"""The configuration of `swift bench`."""

from swift.config.option import Config, option


class BenchConfig(Config):
    """`swift bench`: run the experiments of one file, and compare them in one table."""

    file: str = option(..., "YAML of `common` options, `experiments` and `tasks`.", "file")
    output_dir: str = option("output/bench", "Folder of all runs, of the table and of the report.", "output_dir")
    only: tuple[str, ...] = option((), "Names of experiments; the others wait for another time.", "only")
    dry_run: bool = option(False, "Check the file and list the experiments; nothing is run.", "dry_run")
