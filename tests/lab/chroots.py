"""Unpack Debian's SSH servers into one minimal chroot each; apt checks the signatures, nothing is installed."""

import base64
import fcntl
import functools
import hashlib
import os
import platform
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

APT_HELPER = "/usr/lib/apt/apt-helper"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TOOLS = ("apt-get", "dpkg-deb", "tar", "chroot", "ssh-keygen", "openssl")
ATTEMPTS = 3
FETCH_SECONDS = 240  # for one attempt at one suite: 12 MB of index or of packages
USER, USER_ID, NOGROUP = "u", 1000, 65534
KEY_TYPES = ("rsa", "ecdsa", "ed25519")
PUBLIC_KEYS = "etc/ssh/host_keys.pub"  # in each chroot: the host keys its server offers, in known_hosts' notation
VERSION = ".version"  # in each chroot: its package's version
NO_DOCUMENTATION = [f"--exclude=./usr/share/{name}" for name in ("doc", "man", "locale", "lintian", "i18n")]
NO_DOCUMENTATION.append("--exclude=./usr/lib/x86_64-linux-gnu/gconv")

# The programs need libraries to load; nothing here needs what maintainer scripts, PAM or locales would add.
LIBRARY = re.compile(
    r"(?!libpam-|libdebconf|libc-bin|libc-gconv|liblocale|libtirpc-common|libcap2-bin)(lib|zlib1g|python3)"
)

DEVICES = {"null": (1, 3), "zero": (1, 5), "random": (1, 8), "urandom": (1, 9), "tty": (5, 0)}  # major, minor
ACCOUNTS = {
    "passwd": f"""root:x:0:0:root:/root:/bin/sh
sshd:x:100:{NOGROUP}::/run/sshd:/usr/sbin/nologin
{USER}:x:{USER_ID}:{USER_ID}::/home/{USER}:/bin/sh
nobody:x:{NOGROUP}:{NOGROUP}::/:/usr/sbin/nologin
""",
    "shadow": f"root:*:19000::::::\nsshd:*:19000::::::\n{USER}:*:19000::::::\nnobody:*:19000::::::\n",
    "group": f"root:x:0:\n{USER}:x:{USER_ID}:\nnogroup:x:{NOGROUP}:\n",
    "nsswitch.conf": "passwd: files\nshadow: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
}


class ZooError(Exception):
    """A server could not be built, started or stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which package of which Debian suite holds a program."""

    suite: str
    package: str
    also: Sequence[str] = ()  # packages that nothing depends on


RECIPES = {
    "openssh-8.4": Recipe(suite="bullseye", package="openssh-server"),
    "openssh-9.2": Recipe(suite="bookworm", package="openssh-server"),
    "openssh-10.0": Recipe(suite="trixie", package="openssh-server"),
    "openssh-10.6": Recipe(suite="sid", package="openssh-server"),  # sid moves on: 10.6 or later
    "dropbear-2020.81": Recipe(suite="bullseye", package="dropbear-bin"),
    "dropbear-2022.83": Recipe(suite="bookworm", package="dropbear-bin"),
    "dropbear-2025.89": Recipe(suite="trixie", package="dropbear-bin"),
    "dropbear-2026.94": Recipe(suite="sid", package="dropbear-bin"),  # likewise
    "tinysshd": Recipe(suite="trixie", package="tinysshd"),
    "haproxy": Recipe(suite="bookworm", package="haproxy"),
    "stunnel": Recipe(suite="bookworm", package="stunnel4"),
}
PYTHON = "python"
# Debian's newest Python, with a shell and the few programs that tests start.
OTHERS = {
    PYTHON: Recipe(suite="sid", package="python3", also=("dash", "coreutils")),
    "clients": Recipe(suite="trixie", package="openssh-client", also=("putty-tools", "curl")),
    "sslh": Recipe(suite="bookworm", package="sslh"),
    "sudo-rs": Recipe(suite="trixie", package="sudo-rs", also=("libpam0g", "libpam-modules", "dash")),
}


class Packages:
    """The index of one suite: what a package depends on, where its file is and what that hashes to."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._offsets: dict[str, int] = {}
        self._providers: dict[str, str] = {}
        package = ""
        for line in re.finditer(r"^(Package|Provides): (.+)$", text, re.MULTILINE):
            if line[1] == "Package":
                package = line[2]
                self._offsets[package] = line.start()
            else:
                for provided in line[2].split(","):
                    self._providers.setdefault(provided.split()[0], package)

    def fields(self, package: str) -> dict[str, str]:
        """Return the one-line fields of a package's paragraph."""
        start = self._offsets[package]
        paragraph = self._text[start : self._text.find("\n\n", start)]
        return dict(re.findall(r"^([\w-]+): (.*)$", paragraph, re.MULTILINE))

    def closure(self, *packages: str) -> list[str]:
        """Return the packages, then every library they load, directly or not."""
        found: list[str] = []
        waiting = [*packages]
        while waiting:
            name = waiting.pop(0)
            name = name if name in self._offsets else self._providers.get(name, "")
            if not name or name in found:
                continue
            found.append(name)
            fields = self.fields(name)
            wanted = f"{fields.get('Pre-Depends', '')},{fields.get('Depends', '')}"
            waiting += filter(LIBRARY.match, re.findall(r"(?:^|,)\s*([\w.+-]+)", wanted))
        return found


def cache() -> Path:
    """Return the zoo's directory: $SSH_ZOO, else one in the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("SSH_ZOO") or base / "check-ssh-exchange" / "zoo").resolve()


def version(name: str) -> str | None:
    """Return the package version of a chroot, None while it is not complete."""
    marker = cache() / name / VERSION
    return marker.read_text().strip() if marker.exists() else None


@functools.cache  # apt takes a second to answer
def mirror() -> str | None:
    """Return the Debian archive that this machine's apt already uses; $SSH_ZOO_MIRROR overrides it."""
    if override := os.environ.get("SSH_ZOO_MIRROR"):
        return override
    columns = ["--format", "$(REPO_URI)|$(LABEL)|$(COMPONENT)", "Created-By: Packages"]
    for line in run("apt-get", "indextargets", *columns).splitlines():
        archive, label, component = line.split("|")
        if label == "Debian" and component == "main":  # the security archive and third parties have other labels
            return archive.rstrip("/")
    return None


def missing(names: Sequence[str] = tuple(RECIPES)) -> str | None:
    """Return why these chroots can neither be used nor built here, as a sentence; None if they can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "the SSH server zoo is made of Linux programs for amd64, which this machine is not"
    if os.geteuid() != 0:
        return "the SSH server zoo needs root, for chroot and device files"
    if not devices_work():
        return f"the SSH server zoo needs device files, which {cache()} does not take: set SSH_ZOO to another directory"
    if all(map(version, names)):
        return None
    absent = [tool for tool in (*TOOLS, APT_HELPER) if not shutil.which(tool)]
    if absent:
        return f"the SSH server zoo lacks {', '.join(absent)}: install apt, dpkg, tar, openssh-client and openssl"
    try:
        archive = mirror()
    except ZooError as error:
        return f"the SSH server zoo cannot ask apt for its archive: {error}"
    return None if archive else "the SSH server zoo finds no Debian archive: run apt-get update, or set SSH_ZOO_MIRROR"


def devices_work() -> bool:
    """Return whether a device file can be made and opened in the cache: not on nodev mounts, nor without CAP_MKNOD."""
    probe = cache() / f".device-{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(probe, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        probe.read_bytes()
    except OSError:
        return False
    finally:
        probe.unlink(missing_ok=True)
    return True


def build(names: Sequence[str] = tuple(RECIPES)) -> None:
    """Build the chroots that are not complete yet; wait for another process that builds."""
    if all(map(version, names)):
        return
    recipes = RECIPES | OTHERS
    with locked(cache() / "lock"):
        lacking = [name for name in names if not version(name)]
        make_keys(cache() / "keys")
        suites = sorted({recipes[name].suite for name in lacking})
        with ThreadPoolExecutor(len(suites) or 1) as pool:
            parts = ({name: recipes[name] for name in lacking if recipes[name].suite == suite} for suite in suites)
            list(pool.map(build_suite, suites, parts))
        shutil.rmtree(cache() / "downloads", ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file: one process at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build_suite(suite: str, recipes: Mapping[str, Recipe]) -> None:
    """Fetch the index of a suite and the packages these chroots need, then unpack them."""
    downloads = cache() / "downloads" / suite
    packages = Packages(read_index(suite, downloads))
    closures = {name: packages.closure(recipe.package, *recipe.also) for name, recipe in recipes.items()}
    wanted = {package: packages.fields(package) for closure in closures.values() for package in closure}
    fetch(wanted.values(), downloads)
    for name, closure in closures.items():
        root = cache() / f"{name}.part"
        shutil.rmtree(root, ignore_errors=True)
        lay_out(root)
        for package in closure:
            unpack(downloads / Path(wanted[package]["Filename"]).name, root)
        furnish(root)
        make_host_keys(name, root)
        (root / VERSION).write_text(wanted[closure[0]]["Version"] + "\n")
        shutil.rmtree(cache() / name, ignore_errors=True)  # one whose VERSION was deleted
        root.rename(cache() / name)


def read_index(suite: str, directory: Path) -> str:
    """Have apt fetch the suite's package list and check its signature; apt's own state is not touched."""
    (directory / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    options = "arch=amd64 lang=none target=Packages" + (f" signed-by={KEYRING}" if KEYRING.exists() else "")
    (directory / "sources.list").write_text(f"deb [{options}] {mirror()} {suite} main\n")
    apt = {
        "Dir::Etc::SourceList": directory / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": directory / "lists",
        "Dir::State::status": directory / "status",
        "Dir::Cache": directory,
        "APT::Sandbox::User": "root",  # user _apt cannot read root's cache directory
        "APT::Update::Error-Mode": "any",  # by default a failed download is only a warning
        "Acquire::Check-Valid-Until": "false",  # an old suite is no longer signed anew, and is wanted
        "Acquire::PDiffs": "false",
        "Acquire::Retries": "0",  # persist counts
    }
    settings = [word for name, value in apt.items() for word in ("-o", f"{name}={value}")]
    persist("apt-get", "update", "-q", *settings)
    (index,) = (directory / "lists").glob("*_Packages*")  # compressed or not, as apt is configured
    return run(APT_HELPER, "cat-file", str(index))


def fetch(packages: Iterable[dict[str, str]], directory: Path) -> None:
    """Download package files; apt refuses one that does not hash to what the index says."""
    wanted: list[str] = []
    for fields in packages:
        file = directory / Path(fields["Filename"]).name
        if not file.exists() or hashlib.sha256(file.read_bytes()).hexdigest() != fields["SHA256"]:
            wanted += [f"{mirror()}/{fields['Filename']}", str(file), f"SHA256:{fields['SHA256']}"]
    if wanted:
        persist(APT_HELPER, "-q", "-o", "APT::Sandbox::User=root", "download-file", *wanted)


def persist(*command: str) -> None:
    """Run a command that needs the network, up to ATTEMPTS times. Raises ZooError."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            run(*command, seconds=FETCH_SECONDS)
        except ZooError:
            if attempt == ATTEMPTS:
                raise
            time.sleep(2**attempt)
        else:
            return


def run(*command: str, seconds: float = 60) -> str:
    """Run a command and return its output. Raises ZooError with what it wrote to standard error."""
    plain = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, env=plain, input="", capture_output=True, encoding="utf-8", errors="replace", timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise ZooError(f"{command[0]} took more than {seconds} s") from None
    if done.returncode != 0:
        raise ZooError(f"{' '.join(command[:2])} failed ({done.returncode}): {(done.stderr or done.stdout).strip()}")
    return done.stdout


def lay_out(root: Path) -> None:
    """Make the directories that packages expect; /bin, /sbin and /lib are links into /usr, which suits every suite."""
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")


def unpack(package: Path, root: Path) -> None:
    """Unpack a package file, following the links of lay_out."""
    tar = ["tar", "-x", "-C", str(root), "--keep-directory-symlink", *NO_DOCUMENTATION]
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as source:
        done = subprocess.run(tar, stdin=source.stdout, capture_output=True, text=True)
    if source.returncode or done.returncode:
        raise ZooError(f"cannot unpack {package.name}: {done.stderr.strip()}")


def furnish(root: Path) -> None:
    """Add what a server needs besides its packages: devices, accounts, authorized keys."""
    for name in ("etc/ssh", "etc/dropbear", "etc/tinyssh", "dev", "proc", "run/sshd", "var/empty", "var/run", "tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    for name, (major, minor) in DEVICES.items():
        os.mknod(root / "dev" / name, stat.S_IFCHR, os.makedev(major, minor))
        (root / "dev" / name).chmod(0o666)
    for name, text in ACCOUNTS.items():
        (root / "etc" / name).write_text(text)
    shell = root / "bin" / "sh"  # sshd refuses a login without a shell, although it never runs one here
    if not shell.exists():
        shell.write_text("#!/nowhere\n")
        shell.chmod(0o755)
    for home, owner in {f"home/{USER}": USER_ID, "root": 0}.items():
        keys = root / home / ".ssh" / "authorized_keys"
        keys.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(cache() / "keys" / "client.pub", keys)
        for path, mode in ((root / home, 0o755), (keys.parent, 0o700), (keys, 0o600)):
            path.chmod(mode)
            os.chown(path, owner, owner)


def make_keys(directory: Path) -> None:
    """Make, once, the client's key and the host keys that OpenSSH servers share."""
    directory.mkdir(parents=True, exist_ok=True)
    for kind, file in [("ed25519", "client"), *((kind, f"ssh_host_{kind}_key") for kind in KEY_TYPES)]:
        if not (directory / f"{file}.pub").exists():
            (directory / file).unlink(missing_ok=True)
            run("ssh-keygen", "-q", "-t", kind, "-N", "", "-C", "zoo", "-f", str(directory / file))


def make_host_keys(name: str, root: Path) -> None:
    """Make a server's host keys in its own format, and write their public halves to PUBLIC_KEYS."""
    public: list[str] = []
    if name.startswith("openssh"):
        for kind in KEY_TYPES:
            for file in (f"ssh_host_{kind}_key", f"ssh_host_{kind}_key.pub"):
                shutil.copy(cache() / "keys" / file, root / "etc" / "ssh")
            public.append((root / "etc" / "ssh" / file).read_text())
    elif name.startswith("dropbear"):
        key = "/etc/dropbear/dropbear_ed25519_host_key"
        told = run("chroot", str(root), "/usr/bin/dropbearkey", "-t", "ed25519", "-f", key)
        public += re.findall(r"^ssh-ed25519 .*$", told, re.MULTILINE)
    elif name == "tinysshd":
        run("chroot", str(root), "/usr/sbin/tinysshd-makekey", "/etc/tinyssh/sshkeydir")
        point = (root / "etc/tinyssh/sshkeydir/ed25519.pk").read_bytes()
        blob = b"".join(len(part).to_bytes(4, "big") + part for part in (b"ssh-ed25519", point))
        public.append(f"ssh-ed25519 {base64.b64encode(blob).decode()}")
    elif name == "stunnel":
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=zoo", "-days", "3650"]
        run("openssl", "req", "-x509", *curve, "-keyout", str(root / "etc/key.pem"), "-out", str(root / "etc/cert.pem"))
    (root / PUBLIC_KEYS).write_text("".join(f"{line.strip()}\n" for line in public))
