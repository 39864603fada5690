/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe help: the verbs, one verb, and the same for man and for shells. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/completion.h"
#include "cli/manual.h"
#include "cli/verbs.h"

struct help_config {
	const char *man, *extra, *completion;
};

static const struct option_spec options[] = {
	OPTION_STRING(0, "man", "VERB", struct help_config, man, "print the manual page of a verb (\"profile show\" for a sub-verb)"),
	OPTION_STRING(0, "extra", "FILE", struct help_config, extra, "with --man: more sections, in man source"),
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

static char *read_whole(const char *path, char *buffer, size_t size, struct errmsg *err)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	size_t n;

	if (!file) {
		errmsg_errno(err, -errno, path, "cannot be opened");
		return NULL;
	}
	n = fread(buffer, 1, size - 1, file);
	buffer[n] = '\0';
	return buffer;
}

static int verb_help_run(int argc, char **argv)
{
	static char extra[65536];
	struct help_config config = { 0 };
	struct errmsg err = { 0 };
	const struct verb *verb;
	char program[64];
	int rest = 0, r;

	r = options_parse(&verb_help, argc, argv, &config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r < 0)
		goto fail;
	if (config.completion) {
		if (completion_script(verbs, config.completion, stdout) == 0)
			return EXIT_OK;
		errmsg_set(&err, -ENOENT, NULL, 0, "no completion for the shell '%s'; there is bash, zsh, fish", config.completion);
		goto fail;
	}
	if (!config.man && rest == argc) {
		verbs_usage(stdout);
		return EXIT_OK;
	}
	verb = verb_find(verbs, config.man ? config.man : argv[rest]);
	if (verb && !config.man && rest + 1 < argc && verb->subverbs)
		verb = verb_find(verb->subverbs, argv[rest + 1]);
	if (!verb) {
		errmsg_set(&err, -ENOENT, NULL, 0, "there is no verb '%s'; 'imsafe help' lists them",
			   config.man ? config.man : argv[rest]);
		goto fail;
	}
	if (!config.man) {
		snprintf(program, sizeof(program), "imsafe %s", verb->name);
		options_help(verb, program, stdout);
	} else if (!config.extra) {
		manual_page(verb, NULL, stdout);
	} else if (read_whole(config.extra, extra, sizeof(extra), &err)) {
		manual_page(verb, extra, stdout);
	} else {
		goto fail;
	}
	return EXIT_OK;
fail:
	errmsg_print(&err, stderr, argv[0]);
	return EXIT_ERROR;
}
