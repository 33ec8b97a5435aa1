"""Events as they leave this server: one envelope, over server-sent events and over WebSockets.

| module | what is in it |
| --- | --- |
| `scopes` | whose events: a generation's, a batch's, the account's; and which of them |
| `envelope` | an event as JSON, made once for all who get it |
| `snapshots` | what a stream begins with |
| `feed` | snapshot, what was missed, then live; each once and in order |
| `lines` | all connections: silence, stalled clients, the end of the process |
| `sse`, `websocket` | the two roads |
| `messages` | what a WebSocket's client may say |
| `cut` | ending a connection whose client reads nothing |
| `streams` | all of it, as the routes see it |
| `schemas` | the shapes, for the OpenAPI document |
"""
