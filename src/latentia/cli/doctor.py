"""The verb that examines a run."""

from pathlib import Path

from latentia.cli.commands import verbs


@verbs.register("doctor", group="Judge a run")
def doctor(
    run: Path,
    *,
    json: bool = False,
) -> None:
    """Report what is wrong with a run, with the evidence, and what to do.

    It repeats what was reported while the run was trained, and needs no data. The exit code is 0 whatever it finds.

    Args:
        run: the run folder; the training may be unfinished
        json: print a JSON list of finding, severity, evidence and advice instead of a table

    Examples:
        latentia doctor runs/gan-ring
        latentia doctor runs/gan-ring --json
    """
    from json import dumps

    from latentia.cli.tables import print_findings
    from latentia.runs.doctor import findings_of, records

    found = findings_of(run)
    if json:
        print(dumps(records(found), indent=2))
    elif found:
        print_findings(found)
    else:
        print("nothing found")
