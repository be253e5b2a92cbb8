"""The commands by name. Each is imported when it is called: a process pays for what it uses."""

from __future__ import annotations

import importlib
import sys
import warnings

from ocisource.cli.exits import BAD_INPUT, READY

COMMANDS = {
    "run": ("ocisource.cli.operation", "run the operator against a cluster"),
    "check": ("ocisource.cli.check", "resolve, verify and fetch the OCIRepositories of YAML files, without a cluster"),
    "verify": ("ocisource.cli.verify", "verify the signature of one artifact: oci://registry/app:tag --key cosign.pub"),
}


def dispatch(arguments: list[str]) -> int:
    """Exit status of the command that `arguments` name. Without one, or with --help, prints what there is. Flags alone
    are those of `run`: so they stand in Deployments that were written for the original (flux-compat G8)."""
    # What a library thinks of a stranger's certificate is for the verdict to say, not for standard error.
    warnings.filterwarnings("ignore", category=UserWarning, module=r"ocisource\.trust\.")
    if arguments and arguments[0].startswith("--") and arguments[0] not in ("--help", "--version"):
        arguments = ["run", *arguments]
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", [])
    if name in COMMANDS:
        module = importlib.import_module(COMMANDS[name][0])
        return int(module.main(rest))
    if name in ("version", "--version"):
        from importlib import metadata  # noqa: PLC0415 - a process pays for what it uses

        print(metadata.version("oci-source-operator"))
        return READY
    if name in ("", "-h", "--help", "help"):
        print(_usage())
        return READY if name else BAD_INPUT
    print(f"ocisource: there is no command {name!r}\n\n{_usage()}", file=sys.stderr)
    return BAD_INPUT


def _usage() -> str:
    lines = ["usage: ocisource COMMAND [ARGUMENT ...]", ""]
    lines += [f"  {name:8} {meaning}" for name, (_, meaning) in COMMANDS.items()]
    return "\n".join([*lines, "", "`ocisource COMMAND --help` tells the rest."])
