/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cli/service.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <syslog.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/verbs.h"

/* ms: timeout(1), shells and service managers send one wish to end as several signals. */
#define SAME_WISH 1000

static bool is_socket(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

void messages_open(struct messages *messages, const char *program, bool background)
{
	*messages = (struct messages){ .program = program };
	messages->syslog = background || fcntl(STDERR_FILENO, F_GETFD) < 0 || is_socket(STDERR_FILENO);
	if (messages->syslog)
		openlog(NULL, LOG_PID, LOG_DAEMON); /* a tag has no blanks: imsafe or ims-trace */
}

void messages_error(const struct messages *messages, const struct errmsg *err)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *memory;

	if (!messages->syslog) {
		errmsg_print(err, stderr, messages->program);
		return;
	}
	memory = open_memstream(&text, &size);
	if (!memory)
		return;
	errmsg_print(err, memory, messages->program);
	if (!fclose(memory))
		syslog(LOG_ERR, "%s", text + strlen(messages->program) + 2);
}

void messages_note(const struct messages *messages, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (messages->syslog) {
		vsyslog(LOG_INFO, format, args);
	} else {
		fprintf(stderr, "%s: ", messages->program);
		vfprintf(stderr, format, args);
		fputc('\n', stderr);
	}
	va_end(args);
}

bool service_has_connection(void)
{
	return is_socket(STDIN_FILENO);
}

void service_hand_over(const struct messages *messages, bool keep_output)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, STDIN_FILENO);
	if (!keep_output)
		dup2(null, STDOUT_FILENO);
	if (messages->syslog)
		dup2(null, STDERR_FILENO);
	if (null > STDERR_FILENO)
		close(null);
}

int service_run_unwatched(const struct messages *messages, char *const *command, const sigset_t *mask)
{
	struct errmsg err;

	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	errmsg_set(&err, -errno, NULL, 0, "cannot run %s: %s", command[0], strerror(errno));
	messages_error(messages, &err);
	return EXIT_ERROR;
}

void service_wait(pid_t command)
{
	if (command > 0)
		while (waitpid(command, NULL, __WALL) < 0 && errno == EINTR)
			;
}

void service_command_open(struct service_command *command, pid_t pid)
{
	*command = (struct service_command){ .pid = pid, .pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1 };
}

void service_command_close(struct service_command *command)
{
	if (command->pidfd >= 0)
		close(command->pidfd);
	command->pidfd = -1;
}

bool service_command_ended(const struct service_command *command)
{
	struct pollfd fd = { .fd = command->pidfd, .events = POLLIN };

	return command->pidfd < 0 || poll(&fd, 1, 0) > 0;
}

bool service_command_signal(struct service_command *command, int signal, bool terminal)
{
	if (service_command_ended(command))
		return true;
	if (terminal && getpgid(command->pid) == getpgrp())
		return false;
	if (command->told)
		return clock_ms() - command->told > SAME_WISH;
	command->told = clock_ms();
	syscall(SYS_pidfd_send_signal, command->pidfd, signal, NULL, 0);
	return false;
}

struct interrupts {
	sigset_t signals;
	int fd;
	pthread_mutex_t lock; /* for what follows */
	struct service_command command;
	int signal;     /* the one that fd tells of */
};

/* True if the program is to end. signal 0: none came for a while. */
static bool interrupt(struct interrupts *interrupts, int signal, bool terminal, bool *ret_told)
{
	bool end;

	pthread_mutex_lock(&interrupts->lock);
	if (signal)
		end = service_command_signal(&interrupts->command, signal, terminal);
	else
		end = !interrupts->signal && service_command_ended(&interrupts->command);
	if (end && interrupts->signal)
		_exit(EXIT_ERROR);
	if (end)
		interrupts->signal = signal ? signal : SIGTERM;
	*ret_told = interrupts->command.told != 0;
	pthread_mutex_unlock(&interrupts->lock);
	return end;
}

static void *interrupts_main(void *data)
{
	static const struct timespec a_while = { .tv_sec = SAME_WISH / 1000 }, at_once = { 0 };
	struct interrupts *interrupts = data;
	bool told = false;

	for (;;) {
		siginfo_t info;
		int signal = told ? sigtimedwait(&interrupts->signals, &info, &a_while) : sigwaitinfo(&interrupts->signals, &info);

		if (signal < 0 && errno != EAGAIN)
			continue;
		if (interrupt(interrupts, MAX(signal, 0), signal > 0 && info.si_code == SI_KERNEL, &told))
			eventfd_write(interrupts->fd, 1);
		if (signal < 0)
			continue;
		nanosleep(&a_while, NULL);
		while (sigtimedwait(&interrupts->signals, NULL, &at_once) > 0)
			;
	}
	return NULL;
}

static struct interrupts interrupts = { .fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, .command = { .pidfd = -1 } };

void interrupts_command(pid_t pid)
{
	eventfd_t unused;

	pthread_mutex_lock(&interrupts.lock);
	service_command_open(&interrupts.command, pid);
	if (pid > 0 && interrupts.signal) {
		eventfd_read(interrupts.fd, &unused);
		service_command_signal(&interrupts.command, interrupts.signal, false);
		interrupts.signal = 0;
	}
	pthread_mutex_unlock(&interrupts.lock);
}

int interrupts_open(int *ret_fd, sigset_t *ret_mask)
{
	pthread_attr_t attributes;
	struct sigaction hangup;
	pthread_t thread;
	int r;

	interrupts.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (interrupts.fd < 0)
		return -errno;
	sigemptyset(&interrupts.signals);
	sigaddset(&interrupts.signals, SIGINT);
	sigaddset(&interrupts.signals, SIGTERM);
	if (sigaction(SIGHUP, NULL, &hangup) < 0 || hangup.sa_handler != SIG_IGN) /* nohup means it */
		sigaddset(&interrupts.signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &interrupts.signals, ret_mask);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attributes, interrupts_main, &interrupts);
	pthread_attr_destroy(&attributes);
	if (r) {
		pthread_sigmask(SIG_SETMASK, ret_mask, NULL);
		close(interrupts.fd);
		return -r;
	}
	*ret_fd = interrupts.fd;
	return 0;
}

int pipe_open(const char *path)
{
	struct stat st;
	int fd;

	if (stat(path, &st) < 0 || !S_ISFIFO(st.st_mode))
		return -EINVAL;
	fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ENXIO ? -EAGAIN : -errno;
	fcntl(fd, F_SETFL, O_WRONLY);
	return fd;
}

int background_enter(int *ret_ready, struct errmsg *err)
{
	int ready[2];
	char status = EXIT_ERROR;
	ssize_t n;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) < 0)
		return errmsg_errno(err, -errno, NULL, "cannot go into the background");
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		int error = -errno;

		close(ready[0]);
		close(ready[1]);
		return errmsg_errno(err, error, NULL, "cannot go into the background");
	}
	if (!pid) {
		close(ready[0]);
		setsid();
		*ret_ready = ready[1];
		return 0;
	}
	close(ready[1]);
	do
		n = read(ready[0], &status, 1);
	while (n < 0 && errno == EINTR);
	_exit(n == 1 ? status : EXIT_ERROR);
}

void background_ready(int *ready, int status)
{
	char byte = (char)status;
	ssize_t n;

	if (*ready < 0)
		return;
	do
		n = write(*ready, &byte, 1);
	while (n < 0 && errno == EINTR);
	close(*ready);
	*ready = -1;
}
