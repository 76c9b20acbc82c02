"""A real PostgreSQL for tests: its own files and Unix socket in a directory of its own, fsync on, killed for real."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from time import sleep
from typing import Any

import psycopg
from psycopg import sql

ROOT = Path(__file__).parents[2]
SCHEMA_FILES = tuple(
    ROOT / "src" / "purposegate" / room / "postgres_schema.sql" for room in ("ledger", "review", "purposes")
)
TEMPLATE = "ledger_template"
SETTINGS = {
    "listen_addresses": "",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "autovacuum_naptime": "1min",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}


def programs() -> Path:
    """Where the newest installed server's programs are. Raises FileNotFoundError with what to do."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).parent
    raise FileNotFoundError("no PostgreSQL server: on Debian and Ubuntu, apt-get install postgresql")


class PostgresServer:
    """One server. `start` and `kill` may alternate; `close` removes it with its files."""

    _numbers = count()

    def __init__(self, of: "PostgresServer | None" = None) -> None:
        """Make its files: new ones, or a standby's of another server that runs."""
        self.home = Path(tempfile.mkdtemp(prefix="pg-"))  # short: a socket's path has at most 107 bytes
        self.files = self.home / "data"
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            account = pwd.getpwnam(self._user)
            os.chown(self.home, account.pw_uid, account.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        if of:
            self.run("pg_basebackup", "--pgdata", self.files, "--host", of.home, "--username", "postgres",
                     "--write-recovery-conf", "--checkpoint", "fast", "--no-sync")  # fmt: skip
            return
        self.run("initdb", "--pgdata", self.files, "--auth", "trust", "--username", "postgres", "--data-checksums",
                  "--no-sync", "--encoding", "UTF8", "--locale", "C")  # fmt: skip

    def run(self, program: str, *words: str | Path) -> None:
        """Run one of PostgreSQL's own programs. Raises RuntimeError with what it said."""
        done = subprocess.run(
            [programs() / program, *words], user=self._user, cwd=self.home, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr.decode(errors='replace')}")

    def start(self, **settings: str | None) -> None:
        """Start it and wait until it takes connections. A setting that is None is left to the server."""
        words = [f"--{name}={value}" for name, value in {**SETTINGS, **settings}.items() if value is not None]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "postgres", "-D", self.files, "-k", self.home, *words],
                user=self._user,
                cwd=self.home,
                stdout=log,
                stderr=log,
            )
        while True:
            with suppress(psycopg.OperationalError):
                self.admin("postgres").close()
                return
            if self._process.poll() is not None:
                raise RuntimeError((self.home / "log").read_text(errors="replace")[-2_000:])
            sleep(0.02)

    def kill(self) -> None:
        """End the server by kill -9, with everything under it, at once, as when the machine dies."""
        assert self._process
        os.kill(self._process.pid, signal.SIGSTOP)  # so that no child is born while they are counted
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait()
        while any(map(_runs, children)):  # until then they hold the memory that the next one wants
            sleep(0.005)

    def stop(self) -> None:
        """Stop it in good order, without waiting for sessions."""
        assert self._process
        self._process.send_signal(signal.SIGINT)
        self._process.wait()

    def close(self) -> None:
        """Kill it and remove its files."""
        if self._process and self._process.poll() is None:
            self.kill()
        shutil.rmtree(self.home)

    def url(self, database: str, user: str = "postgres") -> str:
        """How to reach a database through the server's socket."""
        return f"postgresql://{user}@/{database}?host={self.home}"

    def admin(self, database: str) -> psycopg.Connection[Any]:
        """A superuser's session in autocommit mode, among the ledger's tables."""
        connection = psycopg.connect(self.url(database), autocommit=True)
        connection.execute("SET search_path = purposegate_ledger")
        return connection

    def keep_files(self) -> Callable[[], None]:
        """What puts a stopped server's files back to how they are now."""
        kept = self.home / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        subprocess.run(["cp", "--archive", self.files, kept], check=True)

        def put_back() -> None:
            shutil.rmtree(self.files)
            subprocess.run(["cp", "--archive", kept, self.files], check=True)

        return put_back

    def execute(self, database: str, *statements: str, arguments: Sequence[object] = ()) -> list[Any]:
        """Statements of a superuser; returns the rows of the last one."""
        with self.admin(database) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode(), arguments if "%s" in statement else None)
            return cursor.fetchall() if cursor.description else []

    def prepare(self) -> None:
        """Make the template of ledgers: the product's own SQL file, and a login for gates."""
        with self.admin("postgres") as connection:
            connection.execute(f"CREATE DATABASE {TEMPLATE}")
        schema = b"".join(file.read_bytes() for file in SCHEMA_FILES)
        with psycopg.connect(self.url(TEMPLATE)) as connection:
            connection.execute(schema)
            # SQLite's word for zeros, so that one suite's statements do on both.
            connection.execute(
                "CREATE FUNCTION purposegate_ledger.zeroblob(integer) RETURNS bytea LANGUAGE sql"
                " AS $$ SELECT decode(repeat('00', $1), 'hex') $$"
            )
            connection.execute("CREATE ROLE gate LOGIN IN ROLE purposegate_app")
            connection.execute("CREATE ROLE auditor LOGIN IN ROLE purposegate_auditor")

    def database(self, template: str = TEMPLATE) -> str:
        """A new database like another one, which nobody may be using: with the ledger's tables. Its name."""
        name = f"ledger_{next(self._numbers)}"
        with self.admin("postgres") as connection:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(template)
                )
            )
        return name

    def replace(self, database: str, other: str) -> None:
        """Put another database in the place of this one, as restoring a backup does."""
        with self.admin("postgres") as connection:
            for statement in ("DROP DATABASE {0} WITH (FORCE)", "ALTER DATABASE {1} RENAME TO {0}"):
                connection.execute(sql.SQL(statement).format(sql.Identifier(database), sql.Identifier(other)))


def _runs(pid: str) -> bool:
    """Whether a process is there and not merely waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
