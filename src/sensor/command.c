/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sensor/command.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

/* In the child, perhaps forked off a process with many threads: nothing that takes locks or memory. */
static _Noreturn void run(const struct target *target, int go, int failure)
{
	struct sigaction action;
	char byte;
	ssize_t n;
	int error;

	do
		n = read(go, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(127);
	/* A handler of ours must not run in a process that is no longer ours; ignored signals stay ignored. */
	for (int signal = 1; signal < NSIG; signal++)
		if (!sigaction(signal, NULL, &action) && action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
			action = (struct sigaction){ .sa_handler = SIG_DFL };
			sigaction(signal, &action, NULL);
		}
	/* Last, so that no signal ends us before there is a program to end. */
	if (target->mask)
		sigprocmask(SIG_SETMASK, target->mask, NULL);
	execvp(target->argv[0], target->argv);
	error = errno;
	n = write(failure, &error, sizeof(error));
	_exit(n == (ssize_t)sizeof(error) ? 127 : 126);
}

int command_start(const struct target *target, struct command *ret_command, struct errmsg *err)
{
	int go[2], failure[2];
	struct command command;

	if (pipe2(go, O_CLOEXEC) < 0)
		return errmsg_errno(err, -errno, NULL, "starting the command");
	if (pipe2(failure, O_CLOEXEC) < 0) {
		int error = -errno;

		close(go[0]);
		close(go[1]);
		return errmsg_errno(err, error, NULL, "starting the command");
	}
	command = (struct command){ .go = go[1], .failure = failure[0] };
	command.pid = fork();
	if (!command.pid) {
		close(go[1]);
		close(failure[0]);
		run(target, go[0], failure[1]);
	}
	close(go[0]);
	close(failure[1]);
	if (command.pid < 0) {
		int error = -errno;

		command_done(&command);
		return errmsg_errno(err, error, NULL, "starting the command");
	}
	*ret_command = command;
	return 0;
}

int command_go(struct command *command)
{
	ssize_t n;

	do
		n = write(command->go, "", 1);
	while (n < 0 && errno == EINTR);
	n = n < 0 ? -errno : 0;
	close(command->go);
	command->go = -1;
	return (int)n;
}

int command_result(struct command *command, const struct target *target, struct errmsg *err)
{
	ssize_t n;
	int error;

	do
		n = read(command->failure, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != (ssize_t)sizeof(error))
		return errmsg_set(err, -ENOEXEC, NULL, 0, "cannot run %s: its process was lost", target->argv[0]);
	/* Not the error itself: another sensor could not run it either. */
	return errmsg_set(err, -ENOEXEC, NULL, 0, "cannot run %s: %s", target->argv[0], strerror(error));
}

void command_done(struct command *command)
{
	if (command->go >= 0)
		close(command->go);
	if (command->failure >= 0)
		close(command->failure);
	command->go = command->failure = -1;
}

void command_kill(struct command *command)
{
	kill(command->pid, SIGKILL);
	while (waitpid(command->pid, NULL, 0) < 0 && errno == EINTR)
		;
	command_done(command);
}
