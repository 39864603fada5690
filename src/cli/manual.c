/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/manual.h"

#include <ctype.h>
#include <errno.h>
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

void manual_page(const struct verb *verb, const char *extra, FILE *out)
{
	fputs(".TH \"IMSAFE", out);
	for (const char *c = verb->name, *dash = "\\-"; *c; c++, dash = "")
		fprintf(out, "%s%s", dash, *c == ' ' ? "\\-" : (char[]){ (char)toupper((unsigned char)*c), '\0' });
	fprintf(out, "\" 1 \"\" \"ImSafe %s\" \"ImSafe manual\"\n.SH NAME\nimsafe\\-", IMSAFE_VERSION);
	for (const char *c = verb->name; *c; c++)
		fputs(*c == ' ' ? "\\-" : (char[]){ *c, '\0' }, out);
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
	if (extra)
		fputs(extra, out);
	if (verb->examples) {
		fputs(".SH EXAMPLES\n.nf\n", out);
		for (const char *line = verb->examples; *line;) {
			size_t n = strcspn(line, "\n");

			put_roff(line, n, out);
			fputc('\n', out);
			line += n + (line[n] == '\n');
		}
		fputs(".fi\n", out);
	}
	fputs(".SH SEE ALSO\n.BR imsafe (1)\n", out);
}

static void put_option_words(const struct verb *verb, FILE *out)
{
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		if (!spec->help)
			continue;
		if (spec->letter)
			fprintf(out, " -%c", spec->letter);
		if (spec->name)
			fprintf(out, " --%s", spec->name);
	}
	fputs(" --help", out);
}

/* The last words of their names. */
static void put_verb_words(const struct verb *const *all, FILE *out)
{
	for (; all && *all; all++) {
		const char *blank = strrchr((*all)->name, ' ');

		fprintf(out, " %s", blank ? blank + 1 : (*all)->name);
	}
}

static void completion_bash(const struct verb *const *all, FILE *out)
{
	fputs("# bash completion for imsafe\n_imsafe()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} verb=${COMP_WORDS[1]} words\n"
	      "\t((COMP_CWORD > 2)) && verb+=\" ${COMP_WORDS[2]}\"\n"
	      "\t((COMP_CWORD == 1)) && verb=\n"
	      "\tcase $verb in\n\t'') words='", out);
	put_verb_words(all, out);
	fputs(" --help --version' ;;\n", out);
	for (const struct verb *const *verb = all; *verb; verb++) {
		for (const struct verb *const *sub = (*verb)->subverbs; sub && *sub; sub++) {
			fprintf(out, "\t'%s') words='", (*sub)->name);
			put_option_words(*sub, out);
			fputs("' ;;\n", out);
		}
		if ((*verb)->subverbs) {
			fprintf(out, "\t'help %s') words='", (*verb)->name);
			put_verb_words((*verb)->subverbs, out);
			fputs("' ;;\n", out);
		}
		fprintf(out, "\t%s | '%s '*) words='", (*verb)->name, (*verb)->name);
		put_option_words(*verb, out);
		put_verb_words(!strcmp((*verb)->name, "help") ? all : (*verb)->subverbs, out);
		fputs("' ;;\n", out);
	}
	fputs("\tesac\n\tif [[ $word == -* || $verb == @(''|profile|help|'help profile') ]]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n\tfi\n}\n"
	      "complete -o default -F _imsafe imsafe\n", out);
}

/* In single quotes, for zsh and fish. */
static void put_quoted(const char *text, const char *also_escaped, FILE *out)
{
	for (; *text && *text != '\n'; text++) {
		if (*text == '\'')
			fputs("'\\''", out);
		else if (strchr(also_escaped, *text))
			fprintf(out, "\\%c", *text);
		else
			fputc(*text, out);
	}
}

static void completion_zsh(const struct verb *const *all, FILE *out)
{
	fputs("#compdef imsafe\nlocal -a verbs=(\n", out);
	for (const struct verb *const *verb = all; *verb; verb++) {
		fprintf(out, "\t'%s:", (*verb)->name);
		put_quoted((*verb)->summary, ":", out);
		fputs("'\n", out);
	}
	fputs(")\nif ((CURRENT == 2)); then\n\t_describe verb verbs\n\treturn\nfi\ncase $words[2] in\n", out);
	for (const struct verb *const *verb = all; *verb; verb++) {
		fprintf(out, "%s)\n\t_arguments", (*verb)->name);
		for (const struct option_spec *spec = (*verb)->options; spec->type != OPTION_TYPE_END; spec++) {
			if (!spec->help || !spec->name)
				continue;
			fprintf(out, " \\\n\t\t'--%s[", spec->name);
			put_quoted(spec->help, "[]:", out);
			fputs("]", out);
			if (spec->value && *spec->value != '[')
				fprintf(out, ":%s:_files", spec->value);
			fputc('\'', out);
		}
		if ((*verb)->subverbs) {
			fputs(" \\\n\t\t'1:verb:(", out);
			put_verb_words((*verb)->subverbs, out);
			fputs(")'", out);
		}
		fputs(" \\\n\t\t'*:file:_files'\n\t;;\n", out);
	}
	fputs("esac\n", out);
}

static void completion_fish(const struct verb *const *all, FILE *out)
{
	fputs("# fish completion for imsafe\n", out);
	for (const struct verb *const *verb = all; *verb; verb++) {
		fprintf(out, "complete -c imsafe -n __fish_use_subcommand -f -a %s -d '", (*verb)->name);
		put_quoted((*verb)->summary, "", out);
		fputs("'\n", out);
		for (const struct option_spec *spec = (*verb)->options; spec->type != OPTION_TYPE_END; spec++) {
			if (!spec->help)
				continue;
			fprintf(out, "complete -c imsafe -n '__fish_seen_subcommand_from %s'", (*verb)->name);
			if (spec->letter)
				fprintf(out, " -s %c", spec->letter);
			if (spec->name)
				fprintf(out, " -l %s", spec->name);
			fprintf(out, "%s -d '", spec->value && *spec->value != '[' ? " -r" : "");
			put_quoted(spec->help, "", out);
			fputs("'\n", out);
		}
	}
}

int manual_completion(const struct verb *const *all, const char *shell, FILE *out)
{
	if (!strcmp(shell, "bash"))
		completion_bash(all, out);
	else if (!strcmp(shell, "zsh"))
		completion_zsh(all, out);
	else if (!strcmp(shell, "fish"))
		completion_fish(all, out);
	else
		return -ENOENT;
	return 0;
}
