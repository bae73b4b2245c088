"""Slurm on this machine: two nodes with a controller, in a folder and on ports of their own.

No cgroups are needed: processes are found by their parents (proctrack/linuxproc), and are not bound to cores.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers import processes
from helpers.processes import wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "srun", "scontrol", "scancel")
PACKAGES = ("slurm-wlm", "munge")
SBIN = "/usr/sbin:/sbin"
NODES = ("n1", "n2")
CORES = 2  # of a node

# cred_expire is also how long a requeued job waits; the default is two minutes. MaxArraySize makes two arrays of 4 jobs
CONFIG = """\
ClusterName=mnistlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
MaxArraySize=3
KillWait=10
MinJobAge=300
ReturnToService=1
SlurmdParameters=config_overrides
SlurmdTimeout=20
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={n1} CPUs={cores} RealMemory=8000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={n2} CPUs={cores} RealMemory=8000
PartitionName=cpu Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime={grace}
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
"""
GRACE = 20  # seconds between the SIGTERM of a preempted job and its end


def missing() -> str | None:
    """Return why Slurm cannot run here, or None; as root, Debian's packages are installed first."""
    if os.geteuid() != 0:
        return "needs root, to start slurmctld and slurmd"
    if not all(_found(program) for program in PROGRAMS):
        if not shutil.which("apt-get"):
            return f"needs {', '.join(PACKAGES)}, and there is no apt-get to install them"
        options = {"env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, "capture_output": True, "text": True}
        for words in (("update",), ("install", "--yes", "--no-install-recommends", *PACKAGES)):
            done = processes.run(["apt-get", "--quiet", *words], timeout=600, **options)
            if done.returncode:
                return f"apt-get {words[0]} fails: {done.stderr.strip().splitlines()[-1]}"
    return next((f"{program} is not installed" for program in PROGRAMS if not _found(program)), None)


def _found(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{SBIN}")


@dataclass
class Slurm:
    """A running cluster."""

    folder: Path
    environment: dict[str, str]
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def says(self, *words: str) -> str:
        """Return what one of Slurm's commands prints; raise its error if it fails."""
        done = processes.run(words, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return str(done.stdout)

    def jobs(self) -> dict[str, tuple[str, str]]:
        """Return the state and the node of every job."""
        rows = self.says("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%N").split()
        return {row.split("|")[0]: (row.split("|")[1], row.split("|")[2]) for row in rows}

    def wait_for(self, state: str, *numbers: str, seconds: float = 60) -> None:
        """Wait until these jobs are in this state."""
        wait_until(
            lambda: all(self.jobs().get(number, ("",))[0] == state for number in numbers), seconds, f"{numbers} {state}"
        )

    def start(self, name: str, *words: str) -> None:
        """Start one daemon in the foreground."""
        with (self.folder / f"{name}.out").open("wb") as log:
            program = _found(words[0])
            self.daemons[name] = subprocess.Popen(
                [program, *words[1:]], env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )

    def start_node(self, name: str) -> None:
        """Start slurmd for a node, and wait until it is ready."""
        (self.folder / f"spool.{name}").mkdir(exist_ok=True)
        self.start(name, "slurmd", "-D", "-N", name)
        wait_until(lambda: self.is_ready(name), 60, f"{name} is ready")

    def is_ready(self, name: str) -> bool:
        """Return whether a node is idle; one that was set down is resumed."""
        state = self.state_of(name)
        if state == "down":
            self.says("scontrol", "update", f"nodename={name}", "state=resume")
        return state == "idle"

    def state_of(self, node: str) -> str:
        done = processes.run(
            ["sinfo", "--noheader", f"--nodes={node}", "--partition=cpu", "--format=%T"],
            env=self.environment, capture_output=True, text=True,
        )  # fmt: skip
        return str(done.stdout).strip()

    def kill_node(self, name: str) -> None:
        """Kill slurmd and all processes of its jobs, as a machine that loses its power."""
        daemon = self.daemons.pop(name)
        daemon.kill()
        daemon.wait()
        jobs = [pid for pid, variables in self.processes() if variables.get("SLURMD_NODENAME") == name]
        steps = {above for pid in jobs if "slurmstepd" in processes.title(above := processes.parent(pid))}
        processes.kill((*steps, *jobs))  # slurmstepd first: it would report the end of the others

    def processes(self) -> list[tuple[int, dict[str, str]]]:
        """Return the processes that this cluster has started, with their environment."""
        return list(processes.having("SLURM_CONF", self.environment["SLURM_CONF"]))

    def stop(self) -> None:
        """End everything that the cluster has started."""
        processes.run(["scancel", "--user=root"], env=self.environment, capture_output=True)
        for daemon in reversed(self.daemons.values()):
            daemon.terminate()
        for daemon in self.daemons.values():
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()
            daemon.wait()
        processes.kill(pid for pid, _ in self.processes())


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens to."""
    with ExitStack() as stack:
        listening = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in listening:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in listening]


@contextmanager
def cluster(folder: Path, variables: dict[str, Any]) -> Iterator[Slurm]:
    """Run a cluster of two nodes in a folder; ``variables`` are in the environment of its jobs."""
    host = socket.gethostname().partition(".")[0]
    controller, n1, n2 = free_ports(3)
    (folder / "state").mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    text = CONFIG.format(folder=folder, host=host, controller=controller, n1=n1, n2=n2, cores=CORES, grace=GRACE)
    (folder / "slurm.conf").write_text(text)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")  # named, so that none is looked for
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM", "SBATCH", "SUBMITIT"))}
    slurm = Slurm(folder, {**kept, **variables, "SLURM_CONF": str(folder / "slurm.conf")})
    try:
        files = {name: f"--{name}-file={folder}/munge.{name}" for name in ("key", "pid", "log", "seed")}
        slurm.start("munged", "munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *files.values())
        wait_until((folder / "munge.socket").exists, 20, "munged")
        slurm.start("slurmctld", "slurmctld", "-D", "-c")
        wait_until(lambda: slurm.state_of("n1"), 20, "slurmctld")
        for name in NODES:
            slurm.start_node(name)
        yield slurm
    finally:
        slurm.stop()
