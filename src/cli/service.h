/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What verbs need that run for long, in the background, or between inetd and a service: where messages go, how signals
 * end them, and how a service runs on when they cannot do their work.
 */
#ifndef IMSAFE_CLI_SERVICE_H
#define IMSAFE_CLI_SERVICE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/errmsg.h"

/* Where messages go: stderr, or syslog when nobody reads stderr or it is the connection of a service. */
struct messages {
	const char *program;
	bool syslog;
};

void messages_open(struct messages *messages, const char *program, bool background);
void messages_error(const struct messages *messages, const struct errmsg *err);
void messages_note(const struct messages *messages, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Is this process between inetd (or a socket unit) and a service: standard input is a network or UNIX connection? */
bool service_has_connection(void);

/*
 * Once the service has been started: standard input, and standard output and error where they are a connection or pipe that
 * is the service's to close, become /dev/null here. keep_output: standard output is ours to write to.
 */
void service_hand_over(const struct messages *messages, bool keep_output);

/* Runs the command in place of this program, unwatched: a service that cannot be watched runs all the same. */
int service_run_unwatched(const struct messages *messages, char *const *command, const sigset_t *mask);

/* Waits for the command that a sensor started, which goes on unwatched. */
void service_wait(pid_t command);

/*
 * A command that a sensor started, and what the signals mean for it that ask this program to end. One that is sent to this
 * program is passed on to the command, and ends this program by ending the command; a second one ends this program alone.
 * What the terminal sends, the command gets itself; whether it ends by that is its own affair.
 */
#define SERVICE_SIGNALS \
	"A signal that asks to end (TERM, INT, HUP) and is sent to this program is passed on to COMMAND; when COMMAND\n" \
	"has ended, so does this program. Ctrl-C on the terminal reaches COMMAND by itself: if it goes on, so does this\n" \
	"program. A second signal (after a second) ends this program alone, with complete files. Then, and also when this\n" \
	"program is killed, COMMAND goes on, unwatched."

struct service_command {
	pid_t pid;
	int pidfd;    /* -1: there is none */
	int64_t told; /* ms, when a signal was passed on; 0: not yet */
};

void service_command_open(struct service_command *command, pid_t pid);
void service_command_close(struct service_command *command);
bool service_command_ended(const struct service_command *command); /* also if there is none */
bool service_command_signal(struct service_command *command, int signal, bool terminal); /* true: this program is to end */

/*
 * SIGINT, SIGTERM and SIGHUP from here on: *ret_fd becomes readable at the first; the second ends the program at once,
 * even if it is stuck writing to someone who does not read. *ret_mask is the signal mask from before, which commands are
 * to start with. The fd is never closed.
 */
int interrupts_open(int *ret_fd, sigset_t *ret_mask);

/*
 * From here on the signals are for this command first, as above; *ret_fd becomes readable when this program is to end, also
 * if the command has ended by a signal passed on and processes of its are left.
 */
void interrupts_command(pid_t pid);

/*
 * A named pipe to write to: its descriptor, -EAGAIN while nobody reads it (ask again later, and look at the signals meanwhile:
 * blocked ones would not end an open that waits), -EINVAL if it is none, or another -errno.
 */
int pipe_open(const char *path);

/*
 * Into the background. In the parent this does not return: it exits with the status that background_ready() is given in
 * the child. Call before interrupts_open() and before any thread is made.
 */
int background_enter(int *ret_ready, struct errmsg *err);
void background_ready(int *ready, int status); /* *ready -1: does nothing */

#endif
