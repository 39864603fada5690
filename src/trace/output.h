/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writing a file so that nothing half-written ever stands under its name: into PATH.part, moved there by output_finish.
 * "-" is stdout; it, pipes and devices are written straight through. The caller's program survives SIGPIPE.
 */
#ifndef IMSAFE_TRACE_OUTPUT_H
#define IMSAFE_TRACE_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

#define OUTPUT_SIZE (64U << 10)

struct output {
	char *name;    /* for messages */
	char *path;    /* final name; NULL: written straight through */
	char *part;
	int fd;
	char *buffer;  /* OUTPUT_SIZE bytes */
	size_t used;
	uint64_t written, size; /* where the file stands, and how long it is */
	int failed;    /* the error after which nothing more is written */
};

/* Opening also refuses to replace a profile: what took weeks to learn is not to be lost by a slip of the pen. */
int output_open(struct output *output, const char *path, struct errmsg *err);
/* The same for what is written in other ways: -EEXIST if a profile, or (traces) a trace of ours, has the name. */
int output_spare(const char *path, bool traces, struct errmsg *err);
int output_open_fd(struct output *output, int fd, const char *name, struct errmsg *err); /* fd is the output's, also on failure */
int output_write(struct output *output, const void *data, size_t n, struct errmsg *err);
int output_flush(struct output *output, struct errmsg *err);
int output_finish(struct output *output, struct errmsg *err);

/* Past the buffer, in one piece; a file that cannot take it all is cut back to where it was. */
int output_write_whole(struct output *output, const void *data, size_t n, struct errmsg *err);

/* To write over what comes after offset, an earlier output_offset(). Only files that are still to get their name can. */
bool output_can_rewind(const struct output *output);
uint64_t output_offset(const struct output *output);
int output_rewind(struct output *output, uint64_t offset, struct errmsg *err);

/* Without finish: the .part file stays if keep and there is anything in it, else it is removed. */
void output_close(struct output *output, bool keep);

/* Room for n more bytes (at most OUTPUT_SIZE) at buffer + used, after a flush if need be. */
int output_reserve(struct output *output, size_t n, struct errmsg *err);

#endif
