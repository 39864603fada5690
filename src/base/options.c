/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/options.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

int parse_uint(const char *text, unsigned long long min, unsigned long long max, unsigned long long *ret_value)
{
	unsigned long long value;
	char *end;

	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (*end)
		return -EINVAL;
	if (errno || value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

int parse_double(const char *text, double min, double max, double *ret_value)
{
	double value;
	char *end;

	if (!isdigit((unsigned char)*text) && *text != '.' && *text != '-')
		return -EINVAL;
	errno = 0;
	value = strtod(text, &end);
	if (*end || end == text)
		return -EINVAL;
	if (errno || !isfinite(value) || value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static bool value_is_optional(const struct option_spec *spec)
{
	return spec->value && *spec->value == '[';
}

static const char *option_label(const struct option_spec *spec, char *buffer, size_t size)
{
	if (spec->name)
		snprintf(buffer, size, "--%s", spec->name);
	else
		snprintf(buffer, size, "-%c", spec->letter);
	return buffer;
}

static int option_store(const struct option_spec *spec, void *config, const char *value, struct errmsg *err)
{
	void *field = (char *)config + spec->offset;
	char label[64];
	unsigned long long number;
	int r;

	option_label(spec, label, sizeof(label));
	switch (spec->type) {
	case OPTION_TYPE_FLAG:
		*(bool *)field = true;
		return 0;
	case OPTION_TYPE_STRING:
		*(const char **)field = value;
		return 0;
	case OPTION_TYPE_UINT:
		r = parse_uint(value, (unsigned long long)spec->min, (unsigned long long)spec->max, &number);
		if (r < 0)
			return errmsg_set(err, -EINVAL, NULL, 0, "%s takes a whole number from %.0f to %.0f, not '%s'", label,
					  spec->min, spec->max, value);
		*(unsigned *)field = (unsigned)number;
		return 0;
	case OPTION_TYPE_DOUBLE:
		if (parse_double(value, spec->min, spec->max, field) < 0)
			return errmsg_set(err, -EINVAL, NULL, 0, "%s takes a number from %g to %g, not '%s'", label,
					  spec->min, spec->max, value);
		return 0;
	case OPTION_TYPE_LIST: {
		struct option_list *list = field;

		if (list->n == OPTION_LIST_MAX)
			return errmsg_set(err, -EINVAL, NULL, 0, "%s can be given at most %d times", label, OPTION_LIST_MAX);
		list->values[list->n++] = value;
		return 0;
	}
	case OPTION_TYPE_CALL:
		return spec->parse(config, value, err);
	case OPTION_TYPE_END:
		break;
	}
	return -EINVAL;
}

static const struct option_spec *find_long(const struct verb *verb, const char *name, size_t length)
{
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++)
		if (spec->name && strlen(spec->name) == length && !memcmp(spec->name, name, length))
			return spec;
	return NULL;
}

static const struct option_spec *find_letter(const struct verb *verb, char letter)
{
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++)
		if (spec->letter == letter)
			return spec;
	return NULL;
}

static int unknown_option(const char *program, const char *arg, struct errmsg *err)
{
	return errmsg_set(err, -EINVAL, NULL, 0, "there is no option '%s'; try '%s --help'", arg, program);
}

/* One argument that begins with "--". Returns how many arguments were used, or -EINVAL. */
static int parse_long(const struct verb *verb, const char *program, char **argv, void *config, struct errmsg *err)
{
	const char *name = argv[0] + 2, *equals = strchr(name, '=');
	const struct option_spec *spec = find_long(verb, name, equals ? (size_t)(equals - name) : strlen(name));
	const char *value = equals ? equals + 1 : NULL;
	int used = 1;

	if (!spec)
		return unknown_option(program, argv[0], err);
	if (!spec->value && value)
		return errmsg_set(err, -EINVAL, NULL, 0, "--%s takes no value", spec->name);
	if (spec->value && !value && !value_is_optional(spec)) {
		value = argv[1];
		used = 2;
		if (!value)
			return errmsg_set(err, -EINVAL, NULL, 0, "--%s needs a value: %s", spec->name, spec->value);
	}
	return option_store(spec, config, value, err) < 0 ? -EINVAL : used;
}

/* One argument of letters. Returns how many arguments were used, or -EINVAL. */
static int parse_letters(const struct verb *verb, const char *program, char **argv, void *config, struct errmsg *err)
{
	for (const char *letter = argv[0] + 1; *letter; letter++) {
		const struct option_spec *spec = find_letter(verb, *letter);
		const char *value = NULL;

		if (!spec)
			return unknown_option(program, argv[0], err);
		if (spec->value) {
			int used = 1;

			value = letter[1] ? letter + 1 : NULL;
			if (!value && !value_is_optional(spec)) {
				value = argv[1];
				used = 2;
				if (!value)
					return errmsg_set(err, -EINVAL, NULL, 0, "-%c needs a value: %s", *letter, spec->value);
			}
			return option_store(spec, config, value, err) < 0 ? -EINVAL : used;
		}
		if (option_store(spec, config, NULL, err) < 0)
			return -EINVAL;
	}
	return 1;
}

/* Moves the n arguments at argv behind the options that follow them. */
static void rotate_arguments(char **argv, int n, int options)
{
	for (int k = 0; k < options; k++) {
		char *option = argv[n + k];

		memmove(argv + k + 1, argv + k, (size_t)n * sizeof(*argv));
		argv[k] = option;
	}
}

int options_parse(const struct verb *verb, int argc, char **argv, void *config, bool stop_at_argument, int *ret_rest,
		  struct errmsg *err)
{
	int n = 0, i = 1; /* argv[i - n .. i - 1] are the arguments met so far, moved along behind the options */

	while (i < argc) {
		int used;

		if (!strcmp(argv[i], "--")) {
			rotate_arguments(argv + i - n, n, 1);
			i++;
			break;
		}
		if (!strcmp(argv[i], "--help") || (!strcmp(argv[i], "-h") && !find_letter(verb, 'h'))) {
			options_help(verb, argv[0], stdout);
			return 1;
		}
		if (argv[i][0] != '-' || !argv[i][1]) {
			if (stop_at_argument)
				break;
			n++;
			i++;
			continue;
		}
		used = (argv[i][1] == '-' ? parse_long : parse_letters)(verb, argv[0], argv + i, config, err);
		if (used < 0)
			return -EINVAL;
		rotate_arguments(argv + i - n, n, used);
		i += used;
	}
	*ret_rest = i - n;
	return 0;
}

void options_help(const struct verb *verb, const char *program, FILE *out)
{
	fprintf(out, "Usage: %s %s\n\n%s\n", program, verb->synopsis, verb->description);
	for (const struct verb *const *sub = verb->subverbs; sub && *sub; sub++)
		fprintf(out, "%s  %-20s %s\n", sub == verb->subverbs ? "\n" : "", (*sub)->name, (*sub)->summary);
	if (verb->options->type != OPTION_TYPE_END)
		fprintf(out, "\nOptions:\n");
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		char label[96] = "";
		const char *value = spec->value ? spec->value : "", *gap = spec->value ? " " : "";

		if (!spec->help)
			continue;
		if (value_is_optional(spec))
			gap = "";
		if (spec->letter && spec->name)
			snprintf(label, sizeof(label), "-%c, --%s%s%s", spec->letter, spec->name, gap, value);
		else if (spec->name)
			snprintf(label, sizeof(label), "    --%s%s%s", spec->name, gap, value);
		else
			snprintf(label, sizeof(label), "-%c%s%s", spec->letter, gap, value);
		fprintf(out, strlen(label) > 26 ? "  %s\n  %26s  %s\n" : "  %-26s%s  %s\n", label, "", spec->help);
	}
	if (verb->examples)
		fprintf(out, "\nExamples:\n%s", verb->examples);
}
