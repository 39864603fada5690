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

int parse_uint_list(const char *text, unsigned min, unsigned max, unsigned *ret_values, int most)
{
	for (int n = 0; n < most; n++) {
		size_t length = strcspn(text, ",");
		unsigned long long value;
		char number[16];

		snprintf(number, sizeof(number), "%.*s", (int)length, text);
		if (length >= sizeof(number) || parse_uint(number, min, max, &value) < 0)
			return -EINVAL;
		ret_values[n] = (unsigned)value;
		text += length;
		if (!*text++)
			return n + 1;
	}
	return -EINVAL;
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

#define HELP_WIDTH  80
#define HELP_INDENT 28 /* of what an option does */

/* Fills lines of HELP_WIDTH with the words of a text, from a column on; blank lines between paragraphs stay. */
static void put_filled(const char *text, size_t column, size_t indent, FILE *out)
{
	bool first = true;

	while (*text) {
		size_t blanks = strspn(text, " \n"), lines = 0, n;

		for (size_t i = 0; i < blanks; i++)
			lines += text[i] == '\n';
		text += blanks;
		n = strcspn(text, " \n");
		if (!n)
			break;
		if (lines > 1 || (!first && column + 1 + n > HELP_WIDTH)) {
			fprintf(out, "%s\n%*s", lines > 1 ? "\n" : "", (int)indent, "");
			column = indent;
			first = true;
		}
		column += (size_t)fprintf(out, "%s%.*s", first ? "" : " ", (int)n, text);
		first = false;
		text += n;
	}
	fputc('\n', out);
}

/* "-t, --threshold PERCENT" or "-g[SOCKET], --stream[=SOCKET]" */
static const char *option_synopsis(const struct option_spec *spec, char *buffer, size_t size)
{
	bool optional = value_is_optional(spec);
	size_t at = 0;

	*buffer = '\0';
	if (spec->letter)
		at = (size_t)snprintf(buffer, size, "-%c%s%s%s", spec->letter, spec->value && !optional && !spec->name ? " " : "",
				      spec->value && (optional || !spec->name) ? spec->value : "", spec->name ? ", " : "");
	if (spec->name && optional)
		snprintf(buffer + at, size - at, "--%s[=%s", spec->name, spec->value + 1);
	else if (spec->name)
		snprintf(buffer + at, size - at, "--%s%s%s", spec->name, spec->value ? " " : "", spec->value ? spec->value : "");
	return buffer;
}

void options_help(const struct verb *verb, const char *program, FILE *out)
{
	size_t column = (size_t)fprintf(out, "Usage: %s ", program);

	put_filled(verb->synopsis, column, column, out);
	fputc('\n', out);
	put_filled(verb->description, 0, 0, out);
	for (const struct verb *const *sub = verb->subverbs; sub && *sub; sub++)
		fprintf(out, "%s  %-16s %s\n", sub == verb->subverbs ? "\n" : "", (*sub)->name, (*sub)->summary);
	if (verb->options->type != OPTION_TYPE_END)
		fprintf(out, "\nOptions:\n");
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		char label[96];

		if (!spec->help)
			continue;
		column = (size_t)fprintf(out, "  %s%s", spec->letter ? "" : "    ", option_synopsis(spec, label, sizeof(label)));
		if (column + 2 > HELP_INDENT) {
			fputc('\n', out);
			column = 0;
		}
		fprintf(out, "%*s", (int)(HELP_INDENT - column), "");
		put_filled(spec->help, HELP_INDENT, HELP_INDENT, out);
	}
	if (verb->examples)
		fprintf(out, "\nExamples:\n%s", verb->examples);
}
