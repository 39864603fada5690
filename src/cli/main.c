/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe: finds the verb and runs it. */
#include <stdio.h>
#include <string.h>

#include "cli/verbs.h"

const struct verb *const verbs[] = {
	&verb_trace,
	&verb_learn,
	&verb_monitor,
	&verb_eval,
	&verb_plot,
	&verb_profile,
	&verb_doctor,
	&verb_lab,
	&verb_help,
	NULL,
};

/* The programs of 2000: ims-trace is "imsafe trace", and so on. NULL if that is not how we were called. */
static const struct verb *historical_verb(const char *program)
{
	const char *slash = program ? strrchr(program, '/') : NULL;

	if (slash)
		program = slash + 1;
	return program && !strncmp(program, "ims-", 4) ? verb_find(verbs, program + 4) : NULL;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct verb *historical = historical_verb(argv[0]);

	if (historical)
		return historical->run(argc, argv);
	if (!*name || !strcmp(name, "--help") || !strcmp(name, "-h")) {
		verbs_usage(*name ? stdout : stderr);
		return *name ? EXIT_OK : EXIT_ERROR;
	}
	if (!strcmp(name, "--version")) {
		puts("imsafe " IMSAFE_VERSION);
		return EXIT_OK;
	}
	for (const struct verb *const *verb = verbs; *verb; verb++)
		if (!strcmp(name, (*verb)->name))
			return (*verb)->run(argc - 1, argv + 1);
	fprintf(stderr, "imsafe: there is no verb '%.32s'; 'imsafe help' lists them\n", name);
	return EXIT_ERROR;
}
