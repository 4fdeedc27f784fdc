"""The only package with sockets and clocks: addresses, timed sockets, the epoll engine, the shape of a run."""
