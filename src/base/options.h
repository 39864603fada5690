/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Option tables: one table per verb fills the verb's config struct, prints its help and feeds man page tests and shell
 * completion. Long and short options, "--name=value", "--name value", "-nVALUE"; "--" ends them.
 *
 *   struct config { const char *file; unsigned mean; bool json; };
 *   static const struct option_spec options[] = {
 *       OPTION_STRING('o', "output", "FILE", struct config, file, "write to FILE"),
 *       OPTION_UINT('m', "mean", "N", struct config, mean, 1, 1024, "mean over N calls"),
 *       OPTION_FLAG(0, "json", struct config, json, "print JSON"),
 *       OPTION_END
 *   };
 */
#ifndef IMSAFE_BASE_OPTIONS_H
#define IMSAFE_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "errmsg.h"

enum option_type {
	OPTION_TYPE_END,
	OPTION_TYPE_FLAG,   /* bool */
	OPTION_TYPE_STRING, /* const char *, points into argv */
	OPTION_TYPE_UINT,   /* unsigned, between min and max */
	OPTION_TYPE_LIST,   /* struct option_list: may be given several times */
	OPTION_TYPE_CALL,   /* int (*parse)(void *config, const char *value, struct errmsg *) */
};

#define OPTION_LIST_MAX 64

struct option_list {
	const char *values[OPTION_LIST_MAX];
	size_t n;
};

typedef int option_parse_fn(void *config, const char *value, struct errmsg *err);

struct option_spec {
	char letter;          /* 0: long only */
	const char *name;     /* NULL: short only */
	const char *value;    /* what the value is called in the help, NULL: takes none. "[X]": optional, attached only */
	enum option_type type;
	size_t offset;        /* of the field in the config struct */
	double min, max;
	option_parse_fn *parse;
	const char *help;     /* NULL: accepted but not shown (historical) */
};

#define OPTION_FLAG(letter, name, type, field, help) \
	{ letter, name, NULL, OPTION_TYPE_FLAG, offsetof(type, field), 0, 0, NULL, help }
#define OPTION_STRING(letter, name, value, type, field, help) \
	{ letter, name, value, OPTION_TYPE_STRING, offsetof(type, field), 0, 0, NULL, help }
#define OPTION_UINT(letter, name, value, type, field, min, max, help) \
	{ letter, name, value, OPTION_TYPE_UINT, offsetof(type, field), min, max, NULL, help }
#define OPTION_LIST(letter, name, value, type, field, help) \
	{ letter, name, value, OPTION_TYPE_LIST, offsetof(type, field), 0, 0, NULL, help }
#define OPTION_CALL(letter, name, value, parse, help) \
	{ letter, name, value, OPTION_TYPE_CALL, 0, 0, 0, parse, help }
#define OPTION_END { 0, NULL, NULL, OPTION_TYPE_END, 0, 0, 0, NULL, NULL }

/* A verb: "imsafe NAME". A verb of verbs (profile) lists them in subverbs; their names are "profile show". */
struct verb {
	const char *name;
	const char *summary;     /* one line, for "imsafe help" */
	const char *synopsis;    /* what follows "imsafe NAME", e.g. "[OPTIONS] FILE ..." */
	const char *description; /* a paragraph */
	const char *examples;    /* lines "command   what it does" */
	const struct option_spec *options;
	int (*run)(int argc, char **argv); /* returns the exit status */
	const struct verb *const *subverbs; /* NULL-terminated, or NULL */
};

/*
 * Reads options from argv[1..] into config; argv[0] is the name in messages: "imsafe monitor" or "ims-monitor". *ret_rest is
 * the index of the first argument that is no option: argv is permuted so that these come last, unless stop_at_argument, where
 * the first of them ends the options. --help prints the verb's help to stdout. Returns 0, 1 if help was printed (exit with
 * 0), or -EINVAL with err filled.
 */
int options_parse(const struct verb *verb, int argc, char **argv, void *config, bool stop_at_argument, int *ret_rest,
		  struct errmsg *err);

void options_help(const struct verb *verb, const char *program, FILE *out);

/* Whole-string numbers, decimal; -EINVAL or -ERANGE. */
int parse_uint(const char *text, unsigned long long min, unsigned long long max, unsigned long long *ret_value);
int parse_double(const char *text, double min, double max, double *ret_value);

/* Whole numbers with commas between them, at most so many. Returns how many, or -EINVAL. */
int parse_uint_list(const char *text, unsigned min, unsigned max, unsigned *ret_values, int most);

#endif
