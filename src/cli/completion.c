/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/completion.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

/* What stands behind an option or in an argument's place, by what the tables call it. */
enum kind {
	KIND_NONE,    /* nothing that a shell could know */
	KIND_WORDS,   /* one of "text|compact" */
	KIND_FILE,
	KIND_PROFILE, /* best a *.db */
	KIND_LOG,     /* best a *.log */
	KIND_FOLDER,
	KIND_PID,
};

static const struct {
	const char *word;
	enum kind kind;
} kinds[] = {
	{ "FILE", KIND_FILE },     { "TRACE", KIND_FILE },  { "PATH", KIND_FILE },  { "COMMAND", KIND_FILE }, { "FROM", KIND_PROFILE },
	{ "PROFILE", KIND_PROFILE }, { "A", KIND_PROFILE }, { "B", KIND_PROFILE },  { "LOG", KIND_LOG },      { "DIR", KIND_FOLDER },
	{ "FOLDER", KIND_FOLDER }, { "PID", KIND_PID },
};

static enum kind kind_of(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strlen(kinds[i].word) == length && !memcmp(kinds[i].word, word, length))
			return kinds[i].kind;
	return KIND_NONE;
}

static bool takes_value(const struct option_spec *spec)
{
	return spec->value && *spec->value != '[';
}

static enum kind value_kind(const struct option_spec *spec)
{
	return strchr(spec->value, '|') ? KIND_WORDS : kind_of(spec->value, strlen(spec->value));
}

/* "text|compact" as "text compact". */
static void put_words(const char *value, FILE *out)
{
	for (; *value; value++)
		fputc(*value == '|' ? ' ' : *value, out);
}

#define ARGUMENTS_MAX 4

struct arguments {
	enum kind kinds[ARGUMENTS_MAX];
	unsigned n;
	bool more;    /* of the last one */
	bool command; /* a command may follow, behind "--" */
};

/* From the synopsis: the capitals that are no option's value. */
static struct arguments arguments_of(const struct verb *verb)
{
	static const char separators[] = " []{}|.\n";
	struct arguments arguments = { .n = 0 };
	bool value = false;

	for (const char *at = verb->synopsis; *at;) {
		size_t n = strcspn(at, separators);

		if (n == 2 && !memcmp(at, "--", 2)) {
			arguments.command = true;
			break;
		}
		if (n && isupper((unsigned char)*at) && strncmp(at, "OPTIONS", n) && !value && arguments.n < ARGUMENTS_MAX) {
			arguments.kinds[arguments.n++] = kind_of(at, n);
			arguments.more = !strncmp(at + n, "...", 3) || !strncmp(at + n, " ...", 4);
		}
		if (n)
			value = *at == '-';
		else if (*at == '|' || *at == ']')
			value = false;
		at += n + !n;
	}
	return arguments;
}

/* The last word of a verb's name. */
static const char *last_word(const struct verb *verb)
{
	const char *blank = strrchr(verb->name, ' ');

	return blank ? blank + 1 : verb->name;
}

static void put_verb_words(const struct verb *const *all, FILE *out)
{
	for (; all && *all; all++)
		fprintf(out, " %s", last_word(*all));
}

static bool is_help(const struct verb *verb)
{
	return !strcmp(verb->name, "help");
}

/* The programs of 2000. */
static const char *const historical[] = { "trace", "learn", "monitor", "plot", NULL };

typedef void verb_fn(const struct verb *verb, FILE *out);

/* Verbs, and in place of a verb of verbs those. */
static void each_verb(const struct verb *const *all, verb_fn *fn, FILE *out)
{
	for (; all && *all; all++)
		if ((*all)->subverbs)
			each_verb((*all)->subverbs, fn, out);
		else
			fn(*all, out);
}

/* Up to the end of the line, for single quotes. */
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

/* bash */

static void bash_kind(enum kind kind, const char *value, FILE *out)
{
	switch (kind) {
	case KIND_NONE:
		fputs("words=' '", out);
		break;
	case KIND_WORDS:
		fputs("words='", out);
		put_words(value, out);
		fputc('\'', out);
		break;
	case KIND_FILE:
		fputs("files=*", out);
		break;
	case KIND_PROFILE:
		fputs("files=*.db", out);
		break;
	case KIND_LOG:
		fputs("files=*.log", out);
		break;
	case KIND_FOLDER:
		fputs("files=/", out);
		break;
	case KIND_PID:
		fputs("words=$(cd /proc && echo [1-9]*)", out);
		break;
	}
}

static void bash_values(const struct verb *verb, FILE *out)
{
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		if (!spec->help || !takes_value(spec))
			continue;
		fputs("\t", out);
		if (spec->letter)
			fprintf(out, "'%s -%c'%s", verb->name, spec->letter, spec->name ? " | " : "");
		if (spec->name)
			fprintf(out, "'%s --%s'", verb->name, spec->name);
		fputs(") ", out);
		bash_kind(value_kind(spec), spec->value, out);
		fputs(" ;;\n", out);
	}
}

static void bash_options(const struct verb *verb, FILE *out)
{
	fprintf(out, "\t'%s') words='", verb->name);
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		if (spec->help && spec->letter)
			fprintf(out, "-%c ", spec->letter);
		if (spec->help && spec->name)
			fprintf(out, "--%s ", spec->name);
	}
	fputs("--help' ;;\n", out);
}

/* Which argument it is, bash would have to count: a profile comes first where there is one. */
static void bash_arguments(const struct verb *verb, FILE *out)
{
	struct arguments arguments = arguments_of(verb);

	if (!arguments.n && !arguments.command)
		return;
	fprintf(out, "\t'%s') ", verb->name);
	if (arguments.kinds[0] == KIND_PROFILE && arguments.n > 1 && arguments.kinds[1] != KIND_PROFILE)
		fputs("[[ \" ${COMP_WORDS[*]:at:COMP_CWORD-at}\" == *.db* ]] && files=* || ", out);
	bash_kind(arguments.n ? arguments.kinds[0] : KIND_FILE, "", out);
	fputs(" ;;\n", out);
}

static void completion_bash(const struct verb *const *all, FILE *out)
{
	fputs("# bash completion for imsafe\n_imsafe()\n{\n"
	      "\tlocal word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} program=${COMP_WORDS[0]##*/}\n"
	      "\tlocal verb=${COMP_WORDS[1]} at=2 words= files= i\n"
	      "\tif [[ $program == ims-* ]]; then\n\t\tverb=${program#ims-} at=1\n"
	      "\telif ((COMP_CWORD == 1)); then\n\t\tverb= words='", out);
	put_verb_words(all, out);
	fputs(" --help --version'\n", out);
	for (const struct verb *const *verb = all; *verb; verb++)
		if ((*verb)->subverbs) {
			fprintf(out, "\telif [[ $verb == %s || $verb == help && ${COMP_WORDS[2]} == %s ]]; then\n"
				     "\t\t[[ $verb == help ]] && at=3\n"
				     "\t\t((COMP_CWORD == at)) && words='", (*verb)->name, (*verb)->name);
			put_verb_words((*verb)->subverbs, out);
			fputs(" --help'\n\t\tverb+=\" ${COMP_WORDS[2]}\" at=3\n", out);
		}
	fputs("\telif [[ $verb == help && $word != -* && $before == help ]]; then\n\t\twords='", out);
	put_verb_words(all, out);
	fputs("'\n\tfi\n"
	      "\tfor ((i = at; i < COMP_CWORD; i++)); do\n\t\tif [[ ${COMP_WORDS[i]} == -- ]]; then\n"
	      "\t\t\tdeclare -F _command_offset >/dev/null && _command_offset $((i + 1)) && return\n"
	      "\t\t\tverb= files=*\n\t\tfi\n\tdone\n"
	      "\t# --option=value comes as three words.\n"
	      "\tif [[ $before == = ]]; then\n\t\tbefore=${COMP_WORDS[COMP_CWORD-2]}\n"
	      "\telif [[ $word == = ]]; then\n\t\tword=\n\tfi\n"
	      "\t[[ $words$files ]] || case \"$verb $before\" in\n", out);
	each_verb(all, bash_values, out);
	fputs("\tesac\n\tif [[ -z $words$files && $word == -* ]]; then\n\t\tcase $verb in\n", out);
	each_verb(all, bash_options, out);
	fputs("\t\tesac\n\tfi\n\t[[ $words$files ]] || case $verb in\n", out);
	each_verb(all, bash_arguments, out);
	fputs("\tesac\n"
	      "\tcase $files in\n"
	      "\t'') COMPREPLY=($(compgen -W \"$words\" -- \"$word\")) ;;\n"
	      "\t/) mapfile -t COMPREPLY < <(compgen -d -- \"$word\") ;;\n"
	      "\t*)\n"
	      "\t\tmapfile -t COMPREPLY < <(compgen -f -X \"!$files\" -- \"$word\"; compgen -d -- \"$word\")\n"
	      "\t\t((${#COMPREPLY[@]})) || mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
	      "\t\t;;\n\tesac\n"
	      "\t[[ -z $files ]] || compopt -o filenames 2>/dev/null\n"
	      "}\ncomplete -F _imsafe imsafe", out);
	for (const char *const *name = historical; *name; name++)
		fprintf(out, " ims-%s", *name);
	fputc('\n', out);
}

/* zsh */

static void zsh_kind(enum kind kind, const char *value, FILE *out)
{
	switch (kind) {
	case KIND_NONE:
		fputs(" ", out);
		break;
	case KIND_WORDS:
		fputs("(", out);
		put_words(value, out);
		fputs(")", out);
		break;
	case KIND_FILE:
		fputs("_files", out);
		break;
	case KIND_PROFILE:
		fputs("_files -g \"*.db(-.)\"", out);
		break;
	case KIND_LOG:
		fputs("_files -g \"*.log(-.)\"", out);
		break;
	case KIND_FOLDER:
		fputs("_files -/", out);
		break;
	case KIND_PID:
		fputs("_pids", out);
		break;
	}
}

/* One form of an option: "-o" with "+", "--output" with "=". */
static void zsh_option(const struct option_spec *spec, const char *form, const char *attached, FILE *out)
{
	bool optional = spec->value && !takes_value(spec);

	fputs(" \\\n\t\t'", out);
	if (spec->type == OPTION_TYPE_LIST)
		fputc('*', out);
	else if (spec->letter && spec->name)
		fprintf(out, "(-%c --%s)", spec->letter, spec->name);
	fprintf(out, "%s%s[", form, !spec->value ? "" : !optional ? attached : *attached == '=' ? "=-" : "-");
	put_quoted(spec->help, "[]:", out);
	fputc(']', out);
	if (spec->value) {
		fputs(optional ? "::" : ":", out);
		put_quoted(spec->value, ":", out);
		fputc(':', out);
		zsh_kind(optional ? KIND_NONE : value_kind(spec), spec->value, out);
	}
	fputc('\'', out);
}

static void zsh_verb(const struct verb *verb, FILE *out)
{
	struct arguments arguments = arguments_of(verb);

	fprintf(out, "'%s')\n", verb->name);
	if (arguments.command)
		fputs("\tlocal -i command=${words[(i)--]}\n"
		      "\tif ((command < CURRENT)); then\n\t\tshift command words\n\t\t((CURRENT -= command))\n"
		      "\t\t_normal\n\t\treturn\n\tfi\n", out);
	fputs("\t_arguments -s -S", out);
	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		char form[64];

		if (!spec->help)
			continue;
		snprintf(form, sizeof(form), "-%c", spec->letter);
		if (spec->letter)
			zsh_option(spec, form, "+", out);
		snprintf(form, sizeof(form), "--%s", spec->name ? spec->name : "");
		if (spec->name)
			zsh_option(spec, form, "=", out);
	}
	fputs(" \\\n\t\t'(- *)--help[explain it]'", out);
	for (unsigned i = 0; i < arguments.n && !is_help(verb); i++) {
		bool last = i + 1 == arguments.n;

		if (last && arguments.more)
			fputs(" \\\n\t\t'*: :", out);
		else
			fprintf(out, " \\\n\t\t'%u: :", i + 1);
		zsh_kind(arguments.kinds[i], "", out);
		fputc('\'', out);
	}
	if (is_help(verb))
		fputs(" \\\n\t\t'1: :(($verbs))'", out);
	fputs("\n\t;;\n", out);
}

static void zsh_list(const char *name, const struct verb *const *all, FILE *out)
{
	fprintf(out, "local -a %s=(\n", name);
	for (; *all; all++) {
		fprintf(out, "\t'%s:", last_word(*all));
		put_quoted((*all)->summary, ":", out);
		fputs("'\n", out);
	}
	fputs(")\n", out);
}

static void completion_zsh(const struct verb *const *all, FILE *out)
{
	fputs("#compdef imsafe", out);
	for (const char *const *name = historical; *name; name++)
		fprintf(out, " ims-%s", *name);
	fputs("\nlocal curcontext=$curcontext verb=${service#ims-}\n", out);
	zsh_list("verbs", all, out);
	fputs("if [[ $verb == imsafe ]]; then\n"
	      "\tif ((CURRENT == 2)); then\n\t\t[[ $PREFIX == -* ]] && compadd -- --help --version || _describe verb verbs\n\t\treturn\n\tfi\n"
	      "\tshift words\n\t((CURRENT--))\n\tverb=$words[1]\nfi\n", out);
	for (const struct verb *const *verb = all; *verb; verb++)
		if ((*verb)->subverbs) {
			fprintf(out, "if [[ $verb == %s || $verb == help && $words[2] == %s && CURRENT -gt 2 ]]; then\n",
				(*verb)->name, (*verb)->name);
			zsh_list("subverbs", (*verb)->subverbs, out);
			fputs("\t[[ $verb == help ]] && shift words && ((CURRENT--))\n"
			      "\tif ((CURRENT == 2)); then\n\t\t_describe verb subverbs\n\t\treturn\n\tfi\n"
			      "\tshift words\n\t((CURRENT--))\n\tverb+=\" $words[1]\"\nfi\n", out);
		}
	fputs("case $verb in\n", out);
	each_verb(all, zsh_verb, out);
	fputs("esac\n", out);
}

/* fish */

static void fish_kind(enum kind kind, const char *value, FILE *out)
{
	switch (kind) {
	case KIND_NONE:
		fputs(" -x", out);
		break;
	case KIND_WORDS:
		fputs(" -xa '", out);
		put_words(value, out);
		fputs("'", out);
		break;
	case KIND_FILE:
		fputs(" -rF", out);
		break;
	case KIND_PROFILE:
		fputs(" -kxa '(__fish_complete_suffix .db)'", out);
		break;
	case KIND_LOG:
		fputs(" -kxa '(__fish_complete_suffix .log)'", out);
		break;
	case KIND_FOLDER:
		fputs(" -xa '(__fish_complete_directories)'", out);
		break;
	case KIND_PID:
		fputs(" -xa '(__fish_complete_pids)'", out);
		break;
	}
}

static void fish_verb(const struct verb *verb, FILE *out)
{
	struct arguments arguments = arguments_of(verb);
	enum kind first = arguments.kinds[0];

	for (const struct option_spec *spec = verb->options; spec->type != OPTION_TYPE_END; spec++) {
		if (!spec->help)
			continue;
		fprintf(out, "complete -c imsafe -n '__imsafe_is \"%s\"'", verb->name);
		if (spec->letter)
			fprintf(out, " -s %c", spec->letter);
		if (spec->name)
			fprintf(out, " -l %s", spec->name);
		if (takes_value(spec))
			fish_kind(value_kind(spec), spec->value, out);
		fputs(" -d '", out);
		put_quoted(spec->help, "\\", out);
		fputs("'\n", out);
	}
	fprintf(out, "complete -c imsafe -n '__imsafe_is \"%s\"' -l help -d 'explain it'\n", verb->name);
	if (arguments.command)
		fprintf(out, "complete -c imsafe -n '__imsafe_command \"%s\"' -xa '(__imsafe_rest)'\n", verb->name);
	if (!arguments.n || first == KIND_NONE) {
		fprintf(out, "complete -c imsafe -n '__imsafe_is \"%s\"' -f\n", verb->name);
	} else if (first != KIND_FILE) {
		/* Which argument it is, fish would have to count: a profile comes first where there is one. */
		fprintf(out, "complete -c imsafe -n '__imsafe_is \"%s\"%s'", verb->name,
			arguments.n > 1 && arguments.kinds[1] != first ? "; and not string match -q \"*.db\" -- (commandline -opc)" : "");
		fish_kind(first, "", out);
		fputc('\n', out);
	}
}

static void fish_list(const char *when, const struct verb *const *all, FILE *out)
{
	for (; *all; all++) {
		fprintf(out, "complete -c imsafe -n '%s' -f -a %s -d '", when, last_word(*all));
		put_quoted((*all)->summary, "\\", out);
		fputs("'\n", out);
	}
}

static void completion_fish(const struct verb *const *all, FILE *out)
{
	char when[128];

	fputs("# fish completion for imsafe\n"
	      "function __imsafe_is --description 'the verb is this, and no command has begun'\n"
	      "\tset -l words (commandline -opc)[2..-1]\n"
	      "\tset -l count (count (string split ' ' -- $argv[1]))\n"
	      "\ttest (count $words) -ge $count; and test \"$words[1..$count]\" = \"$argv[1]\"; and not contains -- -- $words\n"
	      "end\n"
	      "function __imsafe_exactly --description 'nothing but these words stands before'\n"
	      "\tset -l words (commandline -opc)[2..-1]\n"
	      "\ttest \"$words\" = \"$argv[1]\"\n"
	      "end\n"
	      "function __imsafe_command --description 'of this verb, behind --'\n"
	      "\tset -l words (commandline -opc)\n"
	      "\ttest \"$words[2]\" = \"$argv[1]\"; and contains -- -- $words\n"
	      "end\n"
	      "function __imsafe_rest --description 'what completes the command behind --'\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tset -l rest $words[(math (contains -i -- -- $words) + 1)..-1] (string join '' -- (commandline -ct))\n"
	      "\tcomplete --do-complete=\"$rest\"\n"
	      "end\n", out);
	for (const char *const *name = historical; *name; name++)
		fprintf(out, "complete -c ims-%s -w 'imsafe %s'\n", *name, *name);
	fputs("complete -c imsafe -n '__imsafe_exactly \"\"' -f -l version -d 'print the version'\n", out);
	fish_list("__imsafe_exactly \"\"", all, out);
	for (const struct verb *const *verb = all; *verb; verb++) {
		if (is_help(*verb))
			fish_list("__imsafe_exactly help", all, out);
		if (!(*verb)->subverbs)
			continue;
		snprintf(when, sizeof(when), "__imsafe_exactly %s; or __imsafe_exactly \"help %s\"", (*verb)->name, (*verb)->name);
		fish_list(when, (*verb)->subverbs, out);
	}
	each_verb(all, fish_verb, out);
}

int completion_script(const struct verb *const *all, const char *shell, FILE *out)
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
