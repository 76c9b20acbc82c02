"""The records system behind its gate, as the README shows it."""

from datasette.app import Datasette

from purposegate import PurposeGateMiddleware, load_gate

app = PurposeGateMiddleware(
    Datasette([".demo/people.db"], settings={"num_sql_threads": 1}).app(),
    gate=load_gate(".demo/purposegate.yaml"),
)
