"""`bty deploy`: from a directory, or from nothing, to a server that is ready."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app import __version__
from bty_app.deploy import choices, files, low_ports, opening, projects, quadlet, writing
from bty_app.deploy.choices import Choices
from bty_app.deploy.compose import ComposeStack
from bty_app.deploy.directories import Directories
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.files import ENVVARS, File
from bty_app.deploy.generations import Generations, example_of
from bty_app.deploy.opening import ContainerStack
from bty_app.deploy.programs import Programs, last_lines
from bty_app.deploy.quadlet import QuadletStack
from bty_app.deploy.readiness import RealPace, wait_until_ready
from bty_app.deploy.stack import Release
from bty_app.deploy.steps import Steps
from bty_app.deploy.writing import Change
from bty_app.errors import ConfigError, ConflictError, NotFoundError, UnavailableError

PASSWORD = "WITHCACHE_ADMIN_PASSWORD"  # noqa: S105 - the name of a variable
READY_SECONDS = 180.0
_STEPS = (
    "look at this host",
    "the files of the deployment",
    "the directories of the state",
    "the image of bty",
    "the image of withcache",
)
_STARTS = ("start", "wait until it is ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked for. `told` are choices by the names of their variables; `starts` is false
    where everything is to be prepared and nothing started.
    """

    directory: Path
    told: Mapping[str, str]
    force: bool = False
    starts: bool = True
    user: int
    units: Path = quadlet.UNITS


@dataclass(frozen=True, slots=True)
class Plan:
    """The choices of a deployment, and the text of `envvars` that says them."""

    envvars: Envvars
    choices: Choices


def planned(
    directory: Path, told: Mapping[str, str], found_address: Callable[[], str] | None
) -> Plan:
    """The choices with those that were told now. With `found_address`, what is still missing is
    found or generated.

    Raises:
        ConfigError: a choice is wrong.
    """
    existing = opening.envvars_of(directory)
    if existing is None:
        text = (example_of(directory) or files.example()).text
        existing = Envvars(text, str(directory / ENVVARS))
    envvars = existing.changed(told)
    chosen = choices.read(envvars, directory)
    if found_address is not None:
        missing = {}
        if not chosen.host_addr:
            missing["HOST_ADDR"] = found_address()
        if not chosen.withcache_password:
            missing[PASSWORD] = secrets.token_hex(16)
        envvars = envvars.changed(missing)
        chosen = choices.read(envvars, directory)
    return Plan(envvars, chosen)


def address_of_this_host() -> str:
    """The address that this host sends from by its default route. Nothing is sent.

    Raises:
        ConfigError: it has no such route.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.connect(("192.0.2.1", 9))
            return str(out.getsockname()[0])
    except OSError as error:
        raise ConfigError(
            "this host has no default route, so its address is not known: say it with --host-addr"
        ) from error


def deploy(order: Order, programs: Programs, *, shown: Callable[[str], object]) -> Choices:
    """Bring it up, and wait until it is ready; run again it changes what has to change. `shown`
    gets the differences of files that are written anew.

    Raises:
        BtyError: it cannot be done; the sentence says what to do.
    """
    steps = Steps(programs.say, (*_STEPS, *(_STARTS if order.starts else ())))
    steps.next()
    if (order.directory / files.UPGRADE).exists():
        raise ConflictError(
            f"{order.directory}: an upgrade is under way or was cut off: `bty upgrade"
            f" {order.directory}` brings it to its end"
        )
    plan = planned(order.directory, order.told, address_of_this_host)
    if plan.choices.systemd:
        choices.check_place(order.directory)
        quadlet.check_host(programs, order.user)
    plan.choices.check_release(__version__)
    low_ports.check(plan.choices, order.user)
    stack = opening.stack_of(order.directory, plan.choices, programs, units=order.units)
    _check_other(stack, order.units)
    release = _installed(stack)
    if isinstance(stack, ComposeStack):
        plan = _named(plan, stack)
        stack = ComposeStack(replace(stack.at, choices=plan.choices))
    steps.next()
    _files(order, plan, programs, shown)
    steps.next()
    Directories(plan.choices.data_dir, programs, stack.at.engine, order.user).make()
    steps.next()
    release = _image(stack, release)
    steps.next()
    stack.at.images.withcache(plan.choices, files.withcache_image(plan.choices))
    if isinstance(stack, ComposeStack):
        _install_compose(stack, release)
        if order.starts:
            steps.next()
            stack.start()
    else:
        _install_units(stack, release, order, shown)
        if order.starts:
            steps.next()
            stack.take_up()
    if order.starts:
        steps.next()
        if not programs.dry:
            _wait(stack)
    return plan.choices


def _installed(stack: ContainerStack) -> Release | None:
    """The release that was deployed there before, which a deploy keeps."""
    try:
        release = stack.current()
    except NotFoundError:
        return None
    # A name without a release in it may mean any; one with an older has been upgraded since.
    known = stack.at.choices
    if (not known.image or known.image_version) and release.version != __version__:
        raise ConflictError(
            f"{stack.at.directory} runs bty {release.version}, and {__version__} is wanted:"
            f" bty upgrade {stack.at.directory} brings it there with a backup, and back if it does"
            " not start"
        )
    return release


def _image(stack: ContainerStack, release: Release | None) -> Release:
    """The image of the deployed release, or of this program's, on this host."""
    at = stack.at
    if release is None:
        return at.images.bty(at.choices, __version__)
    if at.images.identity(release.reference):
        return release
    return at.images.again(at.choices, release)


def _files(order: Order, plan: Plan, programs: Programs, shown: Callable[[str], object]) -> None:
    wanted = Generations(order.directory, plan.choices).changes()
    own = writing.changes(order.directory, [File(ENVVARS, plan.envvars.text, 0o600)])
    _tell([*own, *wanted], programs, shown)
    if not order.force:
        writing.refuse(wanted, ours_too=False)
    if not programs.dry:
        writing.write([*own, *wanted])


def _tell(wanted: list[Change], programs: Programs, shown: Callable[[str], object]) -> None:
    """Show what is written over, and with a dry run also what is new."""
    told = [change for change in wanted if programs.dry or change.before is not None]
    if told:
        shown(writing.difference(told))


def _named(plan: Plan, stack: ComposeStack) -> Plan:
    """With the name that compose is to have for it, where that is not the directory's own."""
    directory, seen = stack.at.directory, stack.seen()
    name = projects.chosen(directory, plan.choices.project, seen)
    if name == stack.project:
        return plan
    envvars = plan.envvars.changed({projects.VARIABLE: name})
    return Plan(envvars, choices.read(envvars, directory))


def _install_compose(stack: ComposeStack, release: Release) -> None:
    if stack.at.programs.dry:
        for change in stack.secrets.changes():
            stack.at.programs.say(f"would write: {change.path}")
        stack.at.programs.say(f"would pin: bty {release.version} ({release.reference})")
        return
    stack.secrets.write()
    stack.pin(release)


def _install_units(
    stack: QuadletStack, release: Release, order: Order, shown: Callable[[str], object]
) -> None:
    """Have the units where systemd reads them."""
    wanted = writing.changes(stack.units, stack.units_of(release))
    if not order.force:
        writing.refuse(wanted, ours_too=False)
    _tell(wanted, stack.at.programs, shown)
    if not stack.at.programs.dry:
        writing.write(wanted)
    stack.systemctl("daemon-reload")  # also of a deploy that was cut off before it


def _check_other(stack: ContainerStack, units: Path) -> None:
    """Refuse to take the place of a unit of somebody else, and to run the same state twice, by
    compose and by systemd.
    """
    directory = stack.at.directory
    unit = writing.text_of(units / files.BTY_UNIT)
    ours = f"EnvironmentFile={directory.absolute()}/{files.UNITS}/"
    if isinstance(stack, QuadletStack):
        stack.check_units()
        if unit is not None and ours not in unit:
            raise ConflictError(
                f"{units / files.BTY_UNIT} is of another deployment: bty purge that one first"
            )
        if ComposeStack(stack.at).containers():
            raise ConflictError(_twice("compose", directory))
    elif unit is not None and ours in unit:
        raise ConflictError(_twice("systemd", directory))


def _twice(runner: str, directory: Path) -> str:
    """Of a choice that was changed under a deployment which is up."""
    so = "yes" if runner == "systemd" else "no"
    return (
        f"{runner} runs {directory} now: `bty purge {directory}` first, which keeps the state"
        f" (while its envvars says BTY_SYSTEMD={so})"
    )


def _wait(stack: ContainerStack) -> None:
    why = wait_until_ready(stack, RealPace(), READY_SECONDS)
    if why:
        said = last_lines(stack.said())
        raise UnavailableError(f"bty was started, but {why}; its last lines: {said}")
