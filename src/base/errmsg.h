/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What went wrong with an input, for people: which file, which line, what, and what to do.
 * Filled by the function that failed, printed once by the program (errmsg_print). Never allocates.
 */
#ifndef IMSAFE_BASE_ERRMSG_H
#define IMSAFE_BASE_ERRMSG_H

#include <stddef.h>
#include <stdio.h>

struct errmsg {
	char file[512];      /* empty: no file to blame */
	unsigned long line;  /* 0: no line to blame */
	char text[512];      /* one sentence, no newline */
};

/* Sets the text (printf-like) and returns error, a negative errno, for "return errmsg_set(err, -EINVAL, ...)".
 * err may be NULL. file may be NULL and line 0. Bytes that are not printable ASCII or UTF-8 are escaped when shown. */
int errmsg_set(struct errmsg *err, int error, const char *file, unsigned long line, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

/* The same with ": strerror(-error)" at the end. */
int errmsg_errno(struct errmsg *err, int error, const char *file, const char *what);

/* "file:line: text" on one line, escaped, with the program's name before it. */
void errmsg_print(const struct errmsg *err, FILE *out, const char *program);

/*
 * Escapes text from outside for a terminal, a log or a message: control bytes, DEL, backslash and invalid UTF-8 become
 * \xNN (C0 and C1 alike, also bidirectional control characters). Writes at most size bytes with the final NUL; returns dst.
 */
char *escape_text(char *dst, size_t size, const char *src);

#endif
