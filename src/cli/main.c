/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe: finds the verb and runs it. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/verbs.h"

const struct verb *const verbs[] = {
	&verb_trace,
	&verb_learn,
	&verb_monitor,
	&verb_plot,
	&verb_profile,
	&verb_eval,
	&verb_doctor,
	&verb_lab,
	&verb_help,
	NULL,
};

/* The programs of 2000: ims-trace is "imsafe trace", and so on. NULL if that is not how we were called. */
static const struct verb *historical_verb(const char *program)
{
	return !strncmp(program, "ims-", 4) ? verb_find(verbs, program + 4) : NULL;
}

static bool reader_has_gone(void)
{
	struct pollfd output = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return poll(&output, 1, 0) == 1 && output.revents & POLLERR;
}

/* Output that could not be written is an error, told once. */
static int check_output(int status, const char *program)
{
	bool failed = ferror(stdout), gone;
	struct errmsg err;

	errno = 0;
	if (fflush(stdout) != EOF && !failed)
		return status;
	gone = errno == EPIPE || reader_has_gone();
	if (gone)
		errmsg_set(&err, 0, "standard output", 0, "whoever read it has closed the pipe");
	else
		errmsg_set(&err, 0, "standard output", 0, "cannot write all of it%s%s", errno ? ": " : "", errno ? strerror(errno) : "");
	if (gone || status != EXIT_ERROR)
		errmsg_print(&err, stderr, program);
	clearerr(stdout);
	return EXIT_ERROR;
}

static void on_closed_pipe(int signal)
{
	(void)signal;
}

/* A pipe that nobody reads is an error to be told. Commands start with what we were started with: ignored stays, a handler does not. */
static void survive_closed_pipes(void)
{
	const struct sigaction survive = { .sa_handler = on_closed_pipe, .sa_flags = SA_RESTART };
	struct sigaction inherited;

	if (!sigaction(SIGPIPE, NULL, &inherited) && inherited.sa_handler != SIG_IGN)
		sigaction(SIGPIPE, &survive, NULL);
}

int verb_run(const struct verb *verb, const char *program, int argc, char **argv)
{
	char name[64];

	snprintf(name, sizeof(name), "imsafe %s", verb->name);
	argv[0] = program ? (char *)program : name;
	return check_output(verb->run(argc, argv), argv[0]);
}

static int print_version(void)
{
	puts("imsafe " IMSAFE_VERSION);
	return EXIT_OK;
}

static int run(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const struct verb *verb;
	struct errmsg err;

	if (!*name || !strcmp(name, "--help") || !strcmp(name, "-h")) {
		verbs_usage(*name ? stdout : stderr);
		return *name ? EXIT_OK : EXIT_ERROR;
	}
	if (!strcmp(name, "--version"))
		return print_version();
	verb = verb_find(verbs, name);
	if (verb)
		return verb_run(verb, NULL, argc - 1, argv + 1);
	errmsg_set(&err, 0, NULL, 0, "there is no verb '%.32s'; 'imsafe help' lists them", name);
	errmsg_print(&err, stderr, "imsafe");
	return EXIT_ERROR;
}

int main(int argc, char **argv)
{
	const char *slash = argc ? strrchr(argv[0], '/') : NULL, *program = slash ? slash + 1 : argc ? argv[0] : "imsafe";
	const struct verb *historical = historical_verb(program);

	setvbuf(stderr, NULL, _IOLBF, 0); /* a message is one write, so that it stays whole among those of others */
	survive_closed_pipes();
	if (historical && argc == 2 && !strcmp(argv[1], "--version"))
		return check_output(print_version(), program);
	return historical ? verb_run(historical, program, argc, argv) : check_output(run(argc, argv), "imsafe");
}
