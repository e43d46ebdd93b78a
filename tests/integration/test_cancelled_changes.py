"""CREATE and DROP that are cancelled: they answer what has become of them, however late it was."""

from kit.frontend import Frontend
from kit.steady import LEADER_CHANGED, settled, undisturbed

from phantomdb.client.processes import Cluster


def exists(db: Frontend) -> bool:
    answer = settled(lambda: undisturbed(db.query("SELECT count(*) FROM changed")))
    assert answer.sqlstate in {"", "42P01"}, answer
    return answer.sqlstate == ""


def timed(db: Frontend, sql: str, milliseconds: int) -> str:
    """Run a statement that has so much time; returns its SQLSTATE."""
    db.query(f"SET statement_timeout = {milliseconds}")
    code = db.query(sql).sqlstate
    while db.query("SET statement_timeout = 0").sqlstate:
        pass  # It was under the timeout that it ends.
    return code


def test_a_schema_change_that_is_told_as_cancelled_has_not_happened(
    shared_cluster: Cluster,
) -> None:
    with Frontend.connect(shared_cluster.nodes[0].pg.port) as db:
        db.query("DROP TABLE IF EXISTS changed")
        for at in range(60):
            sql = "DROP TABLE changed" if exists(db) else "CREATE TABLE changed (k int4)"
            before = exists(db)
            code = timed(db, sql, 1 + at % 15)
            if code in LEADER_CHANGED:
                continue
            assert code in {"", "57014"}, f"{sql}: {code}"
            # What a withdrawn change had still to write would be seen a little later.
            db.query("CREATE TABLE IF NOT EXISTS beside (k int4)")
            db.query("DROP TABLE beside")
            assert exists(db) == (before if code else not before), f"{sql}: {code}"
        db.query("DROP TABLE IF EXISTS changed")
