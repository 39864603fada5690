/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text for people, laid out for the terminal that it goes to. Where it goes elsewhere, COLUMNS says how wide, as someone may show it
 * on a terminal; without COLUMNS lines stay whole: programs may read them.
 */
#ifndef IMSAFE_CLI_LAYOUT_H
#define IMSAFE_CLI_LAYOUT_H

#include <stdio.h>

/* Columns of a terminal, or of COLUMNS, or otherwise; at least 60. */
unsigned layout_width(FILE *out, unsigned otherwise);

/* Prints lines; one that is too long goes on in the next one, between words, indented by hang columns more than it is. */
void layout_print(const char *text, unsigned hang, FILE *out);
void layout_printf(FILE *out, unsigned hang, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
