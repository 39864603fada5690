/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/manual.h"

#include <ctype.h>
#include <string.h>

/* Text for roff: backslashes and hyphens kept as they are, a line never taken for a request. */
static void put_roff(const char *text, size_t n, FILE *out)
{
	if (n && (*text == '.' || *text == '\''))
		fputs("\\&", out);
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\\')
			fputs("\\e", out);
		else if (text[i] == '-')
			fputs("\\-", out);
		else
			fputc(text[i], out);
	}
}

static void put_text(const char *text, FILE *out)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		if (!n) {
			fputs(".PP\n", out);
		} else {
			put_roff(text, n, out);
			fputc('\n', out);
		}
		text += n + (text[n] == '\n');
	}
}

static void put_options(const struct verb *verb, FILE *out)
{
	if (verb->options->type == OPTION_TYPE_END)
		return;
	fputs(".SH OPTIONS\n", out);
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		bool optional;

		if (!spec->help)
			continue;
		fputs(".TP\n", out);
		optional = spec->value && *spec->value == '[';
		if (spec->letter)
			fprintf(out, "\\fB\\-%c\\fR%s%s%s%s", spec->letter, optional ? "\\fI" : "", optional ? spec->value : "",
				optional ? "\\fR" : "", spec->name ? ", " : "");
		if (spec->name) {
			fputs("\\fB\\-\\-", out);
			put_roff(spec->name, strlen(spec->name), out);
			fputs("\\fR", out);
		}
		if (spec->value) {
			fputs(optional && spec->name ? "\\fI[=" : " \\fI", out);
			put_roff(spec->value + (optional && spec->name), strlen(spec->value + (optional && spec->name)), out);
			fputs("\\fR", out);
		}
		fputc('\n', out);
		put_text(spec->help, out);
	}
}

static void put_examples(const char *examples, FILE *out)
{
	fputs(".SH EXAMPLES\n.nf\n", out);
	while (*examples) {
		size_t n = strcspn(examples, "\n");

		put_roff(examples, n, out);
		fputc('\n', out);
		examples += n + (examples[n] == '\n');
	}
	fputs(".fi\n", out);
}

/* A page's name: "imsafe-profile-show", or in capitals. */
static void put_name(const struct verb *verb, bool capitals, FILE *out)
{
	fputs(capitals ? "IMSAFE\\-" : "imsafe\\-", out);
	for (const char *c = verb->name; *c; c++)
		if (*c == ' ')
			fputs("\\-", out);
		else
			fputc(capitals ? toupper((unsigned char)*c) : *c, out);
}

void manual_page(const struct verb *verb, FILE *out)
{
	fputs(".TH \"", out);
	put_name(verb, true, out);
	fprintf(out, "\" 1 \"\" \"ImSafe %s\" \"ImSafe manual\"\n.SH NAME\n", IMSAFE_VERSION);
	put_name(verb, false, out);
	fputs(" \\- ", out);
	put_roff(verb->summary, strlen(verb->summary), out);
	fprintf(out, "\n.SH SYNOPSIS\n\\fBimsafe %s\\fR ", verb->name);
	put_text(verb->synopsis, out);
	fputs("\n.SH DESCRIPTION\n", out);
	put_text(verb->description, out);
	for (const struct verb *const *sub = verb->subverbs; sub && *sub; sub++) {
		fprintf(out, ".TP\n\\fB%s\\fR\n", (*sub)->name);
		put_text((*sub)->summary, out);
	}
	put_options(verb, out);
	if (verb->examples)
		put_examples(verb->examples, out);
	fputs(".SH SEE ALSO\n.BR imsafe (1)\n", out);
}
