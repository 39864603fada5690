/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe help: the verbs, one verb, and the same for man and for shells. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/verbs.h"

struct help_config {
	const char *man, *completion;
};

static const struct option_spec options[] = {
	OPTION_STRING(0, "man", "VERB", struct help_config, man, "print the manual page of a verb (\"profile show\" for a sub-verb)"),
	OPTION_STRING(0, "completion", "bash|zsh|fish", struct help_config, completion, "print that shell's completion script"),
	OPTION_END
};

static int verb_help_run(int argc, char **argv);

const struct verb verb_help = {
	.name = "help",
	.summary = "explain the verbs",
	.synopsis = "[OPTIONS] [VERB]",
	.description = "Lists the verbs, or explains one with its options and examples.",
	.examples = "  imsafe help monitor\n"
		    "  imsafe help --completion bash > /etc/bash_completion.d/imsafe\n",
	.options = options,
	.run = verb_help_run,
};

void verbs_usage(FILE *out)
{
	fprintf(out, "ImSafe learns what a service normally asks of the kernel, and raises an alarm as\n"
		     "soon as the service stops behaving like itself.\n\nUsage: imsafe VERB [OPTIONS] ...\n\n");
	for (const struct verb *const *verb = verbs; *verb; verb++)
		fprintf(out, "  %-10s %s\n", (*verb)->name, (*verb)->summary);
	fprintf(out, "\n'imsafe VERB --help' explains a verb, with examples; 'imsafe --version' prints the\n"
		     "version. Try 'imsafe lab' first: a server, its profile, an attack and the alarm in\n"
		     "a few minutes.\n");
}

const struct verb *verb_find(const struct verb *const *list, const char *name)
{
	size_t n = strcspn(name, " ");

	for (; list && *list; list++) {
		const char *last = strrchr((*list)->name, ' ');

		last = last ? last + 1 : (*list)->name;
		if (strlen(last) == n && !memcmp(last, name, n))
			return name[n] ? verb_find((*list)->subverbs, name + n + 1) : *list;
	}
	return NULL;
}

static int explain_verb(const struct help_config *config, char **words, int n, struct errmsg *err)
{
	const char *name = config->man ? config->man : words[0];
	const struct verb *verb = verb_find(verbs, name);
	char program[64];

	if (verb && verb->subverbs && !config->man && n > 1)
		verb = verb_find(verb->subverbs, words[1]);
	if (!verb)
		return errmsg_set(err, -ENOENT, NULL, 0, "there is no verb '%s'; 'imsafe help' lists them", name);
	snprintf(program, sizeof(program), "imsafe %s", verb->name);
	if (config->man)
		manual_page(verb, stdout);
	else
		options_help(verb, program, stdout);
	return 0;
}

static int verb_help_run(int argc, char **argv)
{
	struct help_config config = { 0 };
	struct errmsg err = { 0 };
	int rest = 0, r;

	r = options_parse(&verb_help, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && config.completion) {
		r = completion_script(verbs, config.completion, stdout);
		if (r < 0)
			errmsg_set(&err, r, NULL, 0, "no completion for the shell '%s'; there is bash, zsh, fish", config.completion);
	} else if (r >= 0 && (config.man || rest < argc)) {
		r = explain_verb(&config, argv + rest, argc - rest, &err);
	} else if (r >= 0) {
		verbs_usage(stdout);
	}
	if (r < 0)
		errmsg_print(&err, stderr, argv[0]);
	return r < 0 ? EXIT_ERROR : EXIT_OK;
}
