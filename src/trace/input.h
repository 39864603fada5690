/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a file or pipe through one buffer, for all trace formats. The bytes at hand are [at, end); behind them stand
 * INPUT_PADDING readable bytes, the first of them a newline, so that loops over digits need no check for the end.
 */
#ifndef IMSAFE_TRACE_INPUT_H
#define IMSAFE_TRACE_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/errmsg.h"

#define INPUT_PADDING 16
#define INPUT_MAX     (64U << 20) /* the longest line or block */

struct input {
	char *name; /* for messages: the path, or "standard input" */
	int fd;
	char *buffer;
	size_t allocated;
	char *at, *end;
	bool eof;            /* nothing follows end */
	uint64_t offset;     /* of end in the file */
	uint64_t size;       /* of the file, 0 = not known (pipe) */
	int interrupt;       /* 0 = none; while it is readable nothing is waited for (-EINTR) */
	unsigned long line;  /* lines before at, kept by those who read lines */
};

/* interrupt: a descriptor, 0 = none. A named pipe is waited for when it is read, not here. */
int input_open(struct input *input, const char *path, int interrupt, struct errmsg *err);
int input_open_fd(struct input *input, int fd, const char *name, struct errmsg *err); /* fd is the input's, also on failure */
void input_close(struct input *input);

/* Reads more, keeping [at, end) (which may move). 1: there is more now, 0: the input is at its end; -EFBIG: INPUT_MAX;
 * -EINTR: interrupted. */
int input_fill(struct input *input, struct errmsg *err);

/* At least n bytes at hand: 1; 0 if the input ends before. */
int input_need(struct input *input, size_t n, struct errmsg *err);

/*
 * Whole lines at hand: *ret_limit is the end of the last one (behind its newline), or at the end of the input the end of
 * a last line without newline. 1; 0 at the end of the input. Without wait nothing is read: 0 also when it would have to
 * be, so that a reader of a live pipe can hand on what it has.
 */
int input_lines(struct input *input, bool wait, char **ret_limit, struct errmsg *err);

#endif
