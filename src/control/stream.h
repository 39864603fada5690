/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A trace stream from a sensor's process to one that listens: `imsafe trace -g` to a monitor, desktop program or daemon.
 * A UNIX stream socket; both ends check by the kernel's word that the other belongs to the same user or to root. The
 * listener greets with one line, then a text trace comes, as doc/trace-formats.md has it, until the sender closes.
 */
#ifndef IMSAFE_CONTROL_STREAM_H
#define IMSAFE_CONTROL_STREAM_H

#include <stddef.h>

#include "base/cleanup.h"
#include "base/errmsg.h"
#include "sensor/sensor.h"

#define STREAM_GREETING "imsafe stream 1\n"

/* /run/imsafe/sensor.sock for root, else $XDG_RUNTIME_DIR/imsafe/sensor.sock; -ENOENT without such a directory. */
int stream_default_path(char *ret_path, size_t size, struct errmsg *err);

struct stream_listener;

/*
 * Listens at path (NULL: the default one, whose directory is made if need be). A socket that a dead listener left is
 * replaced; -EADDRINUSE if someone does listen there. Not thread-safe per object.
 */
int stream_listen(const char *path, struct stream_listener **ret_listener, struct errmsg *err);
const char *stream_listener_path(const struct stream_listener *listener);
int stream_listener_fd(const struct stream_listener *listener); /* readable: accept */

/*
 * Takes the next connection, as a sensor like any other: poll its fd, dispatch, close. Its info and modules are complete
 * once the first event has been delivered; it ends when the sender ends. 1, 0 if nobody is waiting, -errno (-EPERM: someone
 * else's process was turned away; go on listening).
 */
int stream_accept(struct stream_listener *listener, struct sensor **ret_sensor, struct errmsg *err);

struct stream_listener *stream_listener_close(struct stream_listener *listener); /* removes the socket; returns NULL */
DEFINE_CLEANUP(struct stream_listener *, stream_listener_close)

/* Connects to a listener and waits for its greeting. *ret_fd is the caller's: to write a text trace to. */
int stream_connect(const char *path, int *ret_fd, struct errmsg *err);

#endif
