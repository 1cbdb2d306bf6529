"""Serves the pages from a thread of its own, so that a slow page holds up nothing else."""

import socket
import threading

import uvicorn
from django.core.asgi import get_asgi_application

STOP_PATIENCE_S = 3.0
MOST_CONNECTIONS = 256


class Web:
    """uvicorn on a socket that was opened before, in a thread where it installs no signal handlers."""

    name = "web"

    def __init__(self, listener: socket.socket, proxies: tuple[str, ...] = ()) -> None:
        """`proxies` are believed when they say, by X-Forwarded-For, who has asked them."""
        self._listener, self._proxies = listener, proxies

    def start(self) -> None:
        options = uvicorn.Config(
            get_asgi_application(),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=bool(self._proxies),
            forwarded_allow_ips=list(self._proxies),
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(options)
        listener = self._listener.dup()  # uvicorn closes what it is given; ours must outlive a restart
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="web", daemon=True)
        self._thread.start()

    def wait_until_ready(self) -> None:
        """Nothing to wait for: the socket takes connections already, and they are answered in a moment."""

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(STOP_PATIENCE_S)
