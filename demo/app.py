"""The records system behind its gate, as the README shows it."""

from datasette.app import Datasette

from purposegate import PurposeGateMiddleware, load_gate

app = PurposeGateMiddleware(
    Datasette(immutables=[".demo/people.db"]).app(),
    gate=load_gate(".demo/purposegate.yaml"),
)
