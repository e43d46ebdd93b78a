"""Every setting that PostgreSQL 15 has: known here, obeyed or refused by its name."""

from collections.abc import Iterator

import pytest
from kit.frontend import Answer, Frontend

from phantomdb.client.processes import NodeProcess

#: Settings that `pg_settings` leaves out.
UNLISTED = ["default_with_oids", "is_superuser", "role", "seed", "session_authorization"]
#: What PostgreSQL takes for yes and no, whatever the documented words of a setting are.
SWITCHES = ["on", "off", "true", "false", "yes", "no", "1", "0"]
#: Levels of messages that it does not document.
LEVELS = ["debug", "info"]
#: `not supported`
ABSENT = "0A000"


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def code(answer: Answer) -> str:
    return answer.error["C"] if answer.errors else ""


def is_named(answer: Answer, name: str) -> bool:
    """Whether it is refused as absent, and by the setting's name."""
    return code(answer) == ABSENT and name.lower() in answer.error["M"].lower()


@pytest.fixture
def both(oracle: int, node: NodeProcess) -> Iterator[tuple[Frontend, Frontend]]:
    """Give a session of PostgreSQL and one of PhantomDB."""
    with Frontend.connect(oracle) as wanted, Frontend.connect(node.pg.port) as found:
        yield wanted, found


def test_each_setting_is_known(both: tuple[Frontend, Frontend]) -> None:
    wanted, found = both
    listed = wanted.query("SELECT name, setting FROM pg_settings ORDER BY name")
    own = {name.decode(): (value or b"").decode() for name, value in listed.rows if name}
    assert len(own) > 300
    wrong = []
    for name in [*own, *UNLISTED, "ssl_renegotiation_limit"]:
        statements = [f'SHOW "{name}"', f'RESET "{name}"']
        if name in own:
            statements.append(f'SET "{name}" = {quoted(own[name])}')
        for sql in statements:
            theirs, ours = wanted.query(sql), found.query(sql)
            if code(ours) != code(theirs) and not is_named(ours, name):
                wrong.append(f"{sql}: {theirs.errors} and {ours.errors}")
    assert not wrong, "\n".join(wrong)


def test_each_word_of_a_setting_is_known(both: tuple[Frontend, Frontend]) -> None:
    wanted, found = both
    listed = wanted.query(
        "SELECT name, array_to_string(enumvals, ' ') FROM pg_settings"
        " WHERE vartype IN ('enum', 'bool') AND context IN ('user', 'superuser') ORDER BY name"
    )
    wrong = []
    for raw, words in listed.rows:
        name = (raw or b"").decode()
        documented = (words or b"").decode().split()
        for word in [
            *documented,
            *(word.upper() for word in documented),
            *SWITCHES,
            "debug",
            "info",
        ]:
            sql = f'SET "{name}" = {quoted(word)}'
            theirs, ours = wanted.query(sql), found.query(sql)
            if code(ours) != code(theirs) and not is_named(ours, name):
                wrong.append(f"{sql}: {code(theirs)} and {code(ours)}")
            elif not ours.errors:
                shown = [side.query(f'SHOW "{name}"').rows for side in both]
                if shown[0] != shown[1]:
                    wrong.append(f"{sql}: {shown}")
        for side in both:
            side.query(f'RESET "{name}"')
    assert not wrong, "\n".join(wrong)


#: What clients send, one text after the other.
SENT = {
    # Version 15, and `default_with_oids` of those before 12.
    "pg_dump": """
        SET statement_timeout = 0
        SET lock_timeout = 0
        SET idle_in_transaction_session_timeout = 0
        SET client_encoding = 'UTF8'
        SET standard_conforming_strings = on
        SET check_function_bodies = false
        SET xmloption = content
        SET client_min_messages = warning
        SET row_security = off
        SET default_tablespace = ''
        SET default_table_access_method = heap
        SET default_with_oids = false
        SET synchronize_seqscans TO off
        SET DATESTYLE = ISO
        SET INTERVALSTYLE = POSTGRES
        SET extra_float_digits TO 3""",
    "JDBC": """
        SET extra_float_digits = 3
        SET application_name = 'PostgreSQL JDBC Driver'
        SHOW TRANSACTION ISOLATION LEVEL""",
    "Npgsql": """
        SET ssl_renegotiation_limit = 0
        SET lc_messages = 'C'
        DISCARD ALL
        SET SESSION AUTHORIZATION DEFAULT
        RESET ALL""",
    "Rails": """
        SET client_min_messages TO 'warning'
        SET standard_conforming_strings = on
        SET SESSION timezone TO 'UTC'
        SET intervalstyle = iso_8601
        SHOW max_identifier_length""",
    "Django and SQLAlchemy": """
        SET TIME ZONE 'UTC'
        SET DATESTYLE TO 'ISO'
        SHOW standard_conforming_strings
        SHOW search_path""",
    "pools that change roles": """
        SHOW role
        SET ROLE postgres
        SHOW role
        SET ROLE NONE
        RESET ROLE
        SET SESSION ROLE NONE
        SET SESSION AUTHORIZATION postgres
        RESET SESSION AUTHORIZATION
        SHOW session_authorization""",
}


@pytest.mark.parametrize("client", SENT)
def test_what_clients_send_is_taken(both: tuple[Frontend, Frontend], client: str) -> None:
    for line in SENT[client].strip().splitlines():
        sql = line.strip()
        theirs, ours = (side.query(sql) for side in both)
        assert (code(theirs), code(ours)) == ("", ""), f"{sql}: {ours.errors}"
        assert ours.rows == theirs.rows, sql
