"""Hosts that are network namespaces of this machine, and a Spark standalone cluster on them.

A host has an address and a network card of its own, so it can be unplugged; its processes share the machine's files and cores. The
driver and Spark's master live outside, at the other end of the cable. Namespaces take root and iproute2.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.cluster.hardware import Detour, Disk

# RFC 2544 keeps this network for tests of equipment; it meets no other. Each cluster has a part of its own.
NETWORK = ipaddress.ip_network("198.18.78.0/24")
CLUSTERS = list(NETWORK.subnets(new_prefix=27))
BRIDGE = "sparkml-hosts"
CABLE = "sparkml-wire"  # and two digits, and a letter at times: the kernel takes 15 characters
FIRST_HOST = 11

# Seconds for Spark's daemons to come up on a busy machine.
PATIENCE = 180.0
# After so many seconds without a heartbeat Spark's master gives a worker up. Spark's own default is 60.
WORKER_TIMEOUT = 10


def why_not() -> str | None:
    """What keeps this machine from having hosts; None where nothing does."""
    if shutil.which("ip") is None:
        return "hosts in network namespaces need iproute2's `ip`"
    if os.geteuid() != 0:
        return "hosts in network namespaces need root"
    probe = f"{BRIDGE}-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode:
        return f"network namespaces cannot be made here: {made.stderr.strip()}"
    _ip("netns", "delete", probe)
    return None


class Host:
    """A network namespace with one address, and a small disk of its own for what Spark and its workers put aside.

    Parameters
    ----------
    number : int
        Counted from 0.
    cluster : int
        Likewise.
    disk : Path
        Where the disk is mounted.

    Attributes
    ----------
    name, address, bridge, cable : str
    disk : Disk
    """

    def __init__(self, number: int, cluster: int, disk: Path) -> None:
        network = CLUSTERS[cluster]
        self.bridge = f"{BRIDGE}{cluster}"
        self.name, self.address = f"{self.bridge}-{number}", str(network[FIRST_HOST + number])
        self.cable = f"{CABLE}{cluster}{number}"
        self.disk = Disk(disk)  # before any process of the host, which would not see it come
        _ip("netns", "add", self.name)
        _ip("link", "add", self.cable, "type", "veth", "peer", "name", "eth0", "netns", self.name)
        _ip("link", "set", self.cable, "master", self.bridge, "up")
        for settings in (["addr", "add", f"{self.address}/{network.prefixlen}", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            _ip("-netns", self.name, *settings)
        _ip("-netns", self.name, "link", "set", "lo", "up")

    def start(self, command: Sequence[str], log: Path, **environment: str) -> subprocess.Popen:
        """Start a process on the host."""
        with log.open("wb") as output:
            return subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command], stdout=output, stderr=output, env={**os.environ, **environment}
            )

    def processes(self, pattern: str = "") -> list[int]:
        """Processes on the host whose command line has the pattern in it."""
        pids = _ip("netns", "pids", self.name).split()
        return [int(pid) for pid in pids if pattern in _command_line(pid)]

    def unplug(self) -> None:
        """Packets in both directions vanish; nobody is told."""
        _ip("link", "set", self.cable, "down")

    def plug_in(self) -> None:
        _ip("link", "set", self.cable, "up")

    def slow(self, delay: float, loss: float) -> AbstractContextManager[None]:
        """Hold packets from and to the host for `delay` seconds and lose the share `loss` of them, inside a with statement."""
        return Detour(delay=delay, loss=loss).taken(self.cable, self.bridge)

    def firewall(self, address: str, ports: Collection[int]) -> AbstractContextManager[None]:
        """Let the host call an address at these ports alone, inside a with statement: what would open other connections to it vanishes.

        Connections that are open stay, and the address may call the host.
        """
        return Detour(guarded=address, open=list(ports)).taken(self.cable, self.bridge)

    @contextmanager
    def hiding(self, directory: Path) -> Iterator[None]:
        """Have the executors of the host see an empty directory of their own in place of one that all share, inside a with statement."""
        entered = [["nsenter", "--target", str(pid), "--mount"] for pid in self.processes("CoarseGrainedExecutorBackend")[:1]]
        for enter in entered:
            subprocess.run([*enter, "mount", "-t", "tmpfs", "sparkml-hidden", str(directory)], check=True)
        try:
            yield
        finally:
            for enter in entered:
                subprocess.run([*enter, "umount", "--lazy", str(directory)], check=True)

    def throttle(self, rate: str) -> None:
        """Let no more than `rate`, such as ``10mbit``, of data reach the host."""
        subprocess.run(
            ["tc", "qdisc", "replace", "dev", self.cable, "root", "tbf", "rate", rate, "burst", "32kbit", "latency", "50ms"], check=True
        )

    def unthrottle(self) -> None:
        subprocess.run(["tc", "qdisc", "delete", "dev", self.cable, "root"], check=True)

    def remove(self) -> None:
        for pid in self.processes():
            _kill(pid)
        _ip("link", "delete", self.cable)
        _ip("netns", "delete", self.name)
        self.disk.remove()


class StandaloneCluster:
    """Spark's master here and a worker of one core on each of some hosts.

    Parameters
    ----------
    num_hosts : int
    executor_memory : str
    number : int
        Clusters with different numbers can be there at the same time, in networks that do not meet.
    hidden : sequence of Path
        Directories of this machine that are empty on the hosts, but for Spark.

    Attributes
    ----------
    hosts : list of Host
    url, driver_address : str
    """

    def __init__(self, num_hosts: int = 3, executor_memory: str = "1g", number: int = 0, hidden: Sequence[Path] = ()) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix=_directory_prefix(number)))
        self._memory, self._hidden, self._bridge = executor_memory, hidden, f"{BRIDGE}{number}"
        self.driver_address = str(CLUSTERS[number][1])
        _remove_leftovers(number, self._directory)
        # An address of its own: a bridge without one takes that of a cable, and another when the cable goes.
        _ip("link", "add", self._bridge, "address", f"02:00:00:00:77:{number:02x}", "type", "bridge")
        _ip("addr", "add", f"{self.driver_address}/{CLUSTERS[number].prefixlen}", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        self.hosts = [Host(index, number, self._directory / f"disk-{index}") for index in range(num_hosts)]
        port, self._ui_port = _free_port(self.driver_address), _free_port(self.driver_address)
        self.url = f"spark://{self.driver_address}:{port}"
        options = ["--host", self.driver_address, "--port", str(port), "--webui-port", str(self._ui_port)]
        with (self._directory / "master.log").open("wb") as log:
            self._master = subprocess.Popen([*_java("master.Master"), *options], stdout=log, stderr=log, env=_environment())
        _wait_for(lambda: _answers(self.driver_address, port), "Spark's master does not come up", self._directory / "master.log")
        for host in self.hosts:
            self.start_worker(host)
        self.wait_for_workers(num_hosts)

    def start_worker(self, host: Host) -> None:
        """Start Spark's worker on a host."""
        options = ["--host", host.address, "--cores", "1", "--memory", self._memory, "--webui-port", "0"]
        options += ["--work-dir", str(self._directory / host.name), self.url]
        environment = {**_environment(), "SPARK_LOCAL_DIRS": str(host.disk.path)}
        hiding = _hiding(self._hidden, self._directory / "spark") if self._hidden else []
        host.start([*hiding, *_java("worker.Worker"), *options], self._directory / f"{host.name}.log", **environment)

    def settings(self) -> dict[str, str]:
        """What a Spark session on this cluster must be told."""
        return {
            "spark.master": self.url,
            "spark.driver.host": self.driver_address,
            "spark.driver.bindAddress": self.driver_address,
            "spark.executor.cores": "1",
            "spark.executor.memory": self._memory,
            # A host that falls silent is given up within seconds, not minutes.
            "spark.network.timeout": "15s",
            "spark.network.timeoutInterval": "5s",
            "spark.executor.heartbeatInterval": "3s",
        }

    def wait_for_workers(self, number: int) -> None:
        """Return once the master has so many workers alive."""
        _wait_for(lambda: self._alive() == number, f"{number} workers do not come up", self._directory / "master.log")

    def host_of(self, address: str) -> Host:
        return next(host for host in self.hosts if host.address == address)

    def stop(self) -> None:
        for host in self.hosts:
            host.remove()
        self._master.kill()
        self._master.wait()
        _ip("link", "delete", self._bridge)
        shutil.rmtree(self._directory, ignore_errors=True)

    def _alive(self) -> int:
        connection = http.client.HTTPConnection(self.driver_address, self._ui_port, timeout=5)
        try:
            connection.request("GET", "/json/")
            return json.load(connection.getresponse())["aliveworkers"]
        except (OSError, ValueError):  # the master's page comes up after its port, and is empty at first
            return 0
        finally:
            connection.close()


def _java(main: str) -> list[str]:
    import pyspark

    home = os.environ.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else "java"
    spark_home = Path(pyspark.__file__).parent
    opens = ["--add-opens=java.base/java.nio=ALL-UNNAMED", "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "-XX:+UseSerialGC"]
    setting = f"-Dspark.worker.timeout={WORKER_TIMEOUT}"
    return [java, "-Xmx256m", *opens, setting, "-cp", f"{spark_home}/jars/*", f"org.apache.spark.deploy.{main}"]


def _hiding(directories: Sequence[Path], aside: Path) -> list[str]:
    """The command to start another through, so that it sees directories empty, but for Spark. What a process on a host mounts is for it and
    its children alone, and gone with them."""
    spark = _environment()["SPARK_HOME"]
    aside.mkdir(exist_ok=True)
    mounts = [f"mount --bind {spark} {aside}", *(f"mount -t tmpfs nothing {directory}" for directory in directories)]
    script = "\n".join([*mounts, f"mkdir -p {spark}", f"mount --bind {aside} {spark}", 'exec "$@"'])
    return ["env", "--unset", "PYTHONPATH", "bash", "-euc", script, "bash"]


def _environment() -> dict[str, str]:
    """What Spark's start scripts set: without the Scala version, workers look for a source tree to start executors from."""
    import pyspark

    home = Path(pyspark.__file__).parent
    scala = next((home / "jars").glob("scala-library-*.jar")).stem.removeprefix("scala-library-").rpartition(".")[0]
    return {**os.environ, "SPARK_HOME": str(home), "SPARK_SCALA_VERSION": scala}


def _ip(*arguments: str) -> str:
    return subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True).stdout


def _directory_prefix(number: int) -> str:
    return f"sparkml-cluster-{number}-"


def _remove_leftovers(number: int, but: Path) -> None:
    """What a run that was killed has left behind of this cluster."""
    bridge = f"{BRIDGE}{number}"
    for name in [line.split()[0] for line in _ip("netns", "list").splitlines() if line.startswith(f"{bridge}-")]:
        for pid in _ip("netns", "pids", name).split():
            _kill(int(pid))
        _ip("netns", "delete", name)
    links = [line.split()[1].rstrip(":").split("@")[0] for line in _ip("-o", "link", "show").splitlines()]
    for link in links:
        if link == bridge or link.startswith(f"{CABLE}{number}"):
            subprocess.run(["ip", "link", "delete", link], capture_output=True)  # the cable of a namespace goes with it, in its own time
    for directory in Path(tempfile.gettempdir()).glob(f"{_directory_prefix(number)}*"):
        if directory != but:
            for disk in directory.glob("disk-*"):
                Disk.unmount(disk)
            shutil.rmtree(directory, ignore_errors=True)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except FileNotFoundError:
        return ""


def _free_port(address: str) -> int:
    with socket.create_server((address, 0)) as server:
        return server.getsockname()[1]


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except OSError:
        return False
    return True


def _wait_for(condition, otherwise: str, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.2)
    raise TimeoutError(f"{otherwise}:\n{log.read_text(errors='replace')[-2000:]}")
