/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SITE commands, and the hole that the lab is about: SITE EXEC, as in wu-ftpd 2.6.0.
 *
 * SITE EXEC runs one of the site's programs. It makes two of the classic mistakes:
 *   1. The client's text is used as a format: "%9$lx" shows words of the stack, and so where everything lies.
 *   2. The client's text is copied without asking whether it fits: what lies after it in the frame (which program
 *      is run) and the return address can be overwritten.
 * This one file is compiled without a stack protector, and the server with an executable stack at a fixed address, as
 * programs were in 2000. The kernel's address randomisation stays as it is.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ftpd.h"

#define EXEC_TEXT 512

static const struct program {
	const char *name, *path, *option;
} programs[] = {
	{ "date", "/bin/date", "-u" },
	{ "df", "/bin/df", "-h" },
	{ "uptime", "/usr/bin/uptime", "-p" },
};
#define N_PROGRAMS (sizeof(programs) / sizeof(programs[0]))

/* Runs it and hands its output to the client, a line a line. */
static void run_program(struct session *s, char *const argv[])
{
	int ends[2], status = -1;
	char line[256];
	FILE *output;
	pid_t child;

	if (pipe(ends) < 0 || (child = fork()) < 0) {
		reply(s, 451, "%s.", strerror(errno));
		return;
	}
	if (child == 0) {
		dup2(ends[1], STDOUT_FILENO);
		close(ends[0]);
		close(ends[1]);
		execv(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	reply_line(s, "200-Output:");
	output = fdopen(ends[0], "r");
	while (output && fgets(line, sizeof(line), output))
		reply_line(s, " %.*s", (int)strcspn(line, "\n"), line);
	if (output)
		fclose(output);
	waitpid(child, &status, 0);
	reply(s, 200, "Exit status %d.", WIFEXITED(status) ? WEXITSTATUS(status) : 255);
}

__attribute__((noinline)) static void site_exec(struct session *s, char *command, size_t length)
{
	struct {
		char text[EXEC_TEXT];
		char *argv[4];
	} request = { .argv = { NULL } };
	size_t name = strcspn(command, " ");

	for (size_t i = 0; i < N_PROGRAMS; i++)
		if (strlen(programs[i].name) == name && !strncmp(command, programs[i].name, name)) {
			request.argv[0] = (char *)programs[i].path;
			request.argv[1] = (char *)programs[i].option;
		}
	if (request.argv[0] && command[name] == ' ') {
		command += name + 1;
		length -= name + 1;
		request.argv[2] = request.text;
	}
	memcpy(request.text, command, length + 1); /* mistake 2 */
	if (request.argv[0])
		run_program(s, request.argv);
	else
		reply(s, 550, request.text); /* mistake 1 */
	/* Keeps the request in memory to the end, whatever the optimiser thinks. */
	__asm__ volatile("" : : "r"(&request) : "memory");
}

void command_site(struct session *s, char *argument, size_t length)
{
	if (!strncasecmp(argument, "EXEC ", 5))
		site_exec(s, argument + 5, length - 5);
	else if (!strncasecmp(argument, "CHMOD ", 6))
		command_site_chmod(s, argument + 6, length - 6);
	else if (!strcasecmp(argument, "HELP"))
		reply(s, 214, "SITE CHMOD MODE NAME, SITE EXEC PROGRAM [ARGUMENT]");
	else
		reply(s, 500, "SITE CHMOD, EXEC or HELP.");
}
