/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How numbers, lines of text and words of a shell command are written for people, in alarms and on the command line. */
#ifndef IMSAFE_BASE_WORDS_H
#define IMSAFE_BASE_WORDS_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* 2138411 as "2 138 411". Returns buffer. */
const char *words_grouped(uint64_t value, char buffer[32]);

/* "7th". Returns buffer. */
const char *words_ordinal(uint64_t value, char buffer[32]);

/* "17 calls", "1 call"; 0 of those that were lost means that nobody knows how many: "an unknown number of calls". */
const char *words_lost(uint64_t lost, char buffer[48]);

/* Columns that text takes on a terminal: one a code point, which is right for our own and near enough for the rest. */
unsigned words_columns(const char *text);

/* How many bytes the text's first columns take; all of it if it has no more. */
size_t words_bytes(const char *text, unsigned columns);

/*
 * Words in lines of at most width columns; colours take none. The first line begins in the given column, further ones are
 * indented; the last one is ended, too.
 */
void words_wrap(const char *text, unsigned column, unsigned indent, unsigned width, FILE *out);

/* Text from outside as one word of a shell command that people can paste; no control characters come through. Returns buffer. */
char *words_shell(const char *text, char *buffer, size_t size);

#endif
