"""The files of a deployment, as texts: what `init` and `deploy` write, and where."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from bty_app import __version__
from bty_app.deploy.choices import LOCAL, Choices
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.marks import marked

COMPOSE, OVERRIDE, LITESTREAM = "compose.yml", "compose.override.yml", "compose.litestream.yml"
ENVVARS, EXAMPLE, README, UNITS = "envvars", "envvars.example", "README.md", "quadlet"
UPGRADE, UPGRADE_LOCK = "upgrade.json", "upgrade.lock"  # of an upgrade that is under way
BTY_UNIT, WITHCACHE_UNIT = "bty.container", "withcache.container"
_DATA = "${BTY_HOST_DATA_DIR:-./data}"
_MARKDOWN = ("<!-- ", " -->")
_README = """
# bty on this host

| file | what it is |
| --- | --- |
| `envvars` | your choices and passwords: change this, then run `bty deploy .` here |
| `envvars.example` | every choice there is, with its default |
| `compose.yml`, `compose.override.yml`, `quadlet/` | written by bty, and written anew by it |
| `data/` | the state, unless `BTY_HOST_DATA_DIR` names another place: back this up |

```sh
bty deploy --dry-run .   # what a deploy would change
bty deploy .             # bring it up, with the choices of envvars
bty upgrade .            # to the release of the program that runs this
bty purge .              # stop it and take it away; the state stays
```
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written; `name` is relative to the directory of the deployment."""

    name: str
    text: str
    mode: int = 0o644


def template(name: str) -> str:
    """One of the files of `container/`."""
    return (resources.files("bty_app.deploy") / "templates" / name).read_text("utf-8")


def withcache_image(choices: Choices) -> str:
    """The reference of withcache's image."""
    if choices.withcache_image:
        return choices.withcache_image
    version = re.search(r"^ARG WITHCACHE_VERSION=(\S+)$", template("withcache/Containerfile"), re.M)
    assert version  # noqa: S101 - the template is ours, and a test reads it
    return f"{LOCAL}withcache:{version[1]}"


def initial(choices: Choices, directory: Path, told: Mapping[str, str]) -> list[File]:
    """What `init` writes: the files without a secret in them. `told` are variables by their names
    that stand in the example already.
    """
    units = []
    if choices.systemd:
        units = [
            File(
                f"{UNITS}/{BTY_UNIT}", bty_unit(choices, directory, choices.image_of(__version__))
            ),
            File(f"{UNITS}/{WITHCACHE_UNIT}", withcache_unit(choices, directory)),
        ]
    return [
        File(COMPOSE, compose(choices, directory)),
        File(EXAMPLE, marked(example().changed(told).text)),
        File(README, marked(_README, comment=_MARKDOWN)),
        *units,
    ]


def example() -> Envvars:
    """The example of `envvars`, with the images of this release."""
    return Envvars(_images(template(EXAMPLE)), EXAMPLE)


def compose(choices: Choices, directory: Path) -> str:
    """compose.yml; what `envvars` can say stays a variable in it."""
    text = _images(template(COMPOSE))
    if choices.data_dir != directory.absolute() / "data":
        text = text.replace(_DATA, f"${{BTY_HOST_DATA_DIR:-{choices.data_dir}}}")
    return marked(_with_tftp(text) if choices.tftp else _without_tftp(text))


def override(reference: str, version: str) -> str:
    """compose.override.yml: the release that runs, whatever `envvars` or a tag say by now."""
    return marked(
        f"# release: {version}\nservices:\n  bty:\n"
        f'    image: "{reference}"\n    pull_policy: never\n'
    )


def bty_unit(choices: Choices, directory: Path, image: str, version: str = __version__) -> str:
    """The Quadlet unit of bty."""
    text = _placed(template(f"{UNITS}/{BTY_UNIT}"), choices, directory, image)
    if choices.tftp:
        text = re.sub(r"^PublishPort=.*\n", "", _with_tftp(text), flags=re.M)
    else:
        published = f"PublishPort={choices.port}:8080"
        text = re.sub(r"^PublishPort=.*$", published, _without_tftp(text), flags=re.M)
    return marked(f"# release: {version}\n{text}")


def with_release(unit: str, image: str, version: str) -> str:
    """A unit of bty that another release wrote, with this image and release in it."""
    text = re.sub(r"^Image=.*$", f"Image={image}", unit.partition("\n")[2], flags=re.M)
    return marked(re.sub(r"^# release: .*$", f"# release: {version}", text, flags=re.M))


def withcache_unit(choices: Choices, directory: Path) -> str:
    """The Quadlet unit of withcache."""
    image = withcache_image(choices)
    text = _placed(template(f"{UNITS}/{WITHCACHE_UNIT}"), choices, directory, image)
    published = f"PublishPort={choices.withcache_port}:8081"
    return marked(re.sub(r"^PublishPort=.*$", published, text, flags=re.M))


def environments(choices: Choices) -> list[File]:
    """What the containers of the Quadlet units are told: each its own, and its secrets alone."""
    bty = {
        "BTY_ADMIN_PASSWORD": choices.admin_password,
        "BTY_WITHCACHE_URL": f"http://{choices.host_addr}:{choices.withcache_port}",
        "BTY_WITHCACHE_PASSWORD": choices.withcache_password,
    }
    if choices.tftp:
        bty["BTY_SERVER_PORT"] = str(choices.port)
    cache = {"WITHCACHE_ADMIN_PASSWORD": choices.withcache_password}
    return [
        # podman takes what is behind = as it is, quotes included.
        File(f"{UNITS}/{name}.env", marked(_lines(told)), 0o600)
        for name, told in (("bty", bty), ("withcache", cache))
    ]


def _lines(told: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in told.items())


def _images(text: str) -> str:
    """The images of this release in place of the newest ones that somebody built by hand."""
    default = Choices(data_dir=Path())
    for newest, ours in (
        (f"{LOCAL}bty:latest", default.image_of(__version__)),
        (f"{LOCAL}withcache:latest", withcache_image(default)),
    ):
        text = text.replace(newest, ours)
    return text


def _placed(text: str, choices: Choices, directory: Path, image: str) -> str:
    """The unit with this image, and the places of this deployment, in place of the example's."""
    text = text.replace(f"/srv/bty/{UNITS}/", f"{directory.absolute()}/{UNITS}/")
    text = text.replace("/srv/bty/data/", f"{choices.data_dir}/")
    text = re.sub(r"^Image=.*$", f"Image={image}", text, flags=re.M)
    if choices.auto_update and not image.startswith((LOCAL, "sha256:")):
        return re.sub(r"^#auto-update ", "", text, flags=re.M)
    return re.sub(r"^#auto-update .*\n", "", text, flags=re.M)


def _with_tftp(text: str) -> str:
    text = re.sub(r"^.*#no-tftp\n", "", text, flags=re.M)
    return re.sub(r"^( *)#tftp ", r"\1", text, flags=re.M)


def _without_tftp(text: str) -> str:
    text = re.sub(r"^ *#tftp .*\n", "", text, flags=re.M)
    return re.sub(r" #no-tftp$", "", text, flags=re.M)
