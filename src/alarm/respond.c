/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "alarm/respond.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

int response_by_name(const char *name)
{
	static const char *const names[] = { "none", "stop", "kill" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return (int)i;
	return -ENOENT;
}

/* The thread-group id of a thread, 0 if it is gone. */
static uint32_t process_of(uint32_t tid)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], line[256];
	uint32_t tgid = 0;

	snprintf(path, sizeof(path), "/proc/%u/status", tid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "Tgid: %u", &tgid) == 1)
			break;
	return tgid;
}

static int send_signal(uint32_t pid, uint32_t tid, int signal)
{
	_cleanup_close_ int fd = -1;

	if (pid <= 1 || pid == (uint32_t)getpid())
		return -EINVAL;
	/* Held by the descriptor first, looked at second: what is looked at is what gets the signal. */
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	if (process_of(tid) != pid)
		return -ESRCH;
	return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
}

int respond(enum response response, bool dry_run, uint32_t pid, uint32_t tid, char *ret_words, size_t size)
{
	bool kill = response == RESPONSE_KILL;
	int r = 0;

	*ret_words = '\0';
	if (response == RESPONSE_NONE)
		return 0;
	if (!pid)
		pid = process_of(tid);
	if (dry_run) {
		snprintf(ret_words, size, "dry run: PID %u would have been %s", pid, kill ? "killed (SIGKILL)" : "frozen (SIGSTOP)");
		return 0;
	}
	r = send_signal(pid, tid, kill ? SIGKILL : SIGSTOP);
	if (r < 0)
		snprintf(ret_words, size, "PID %u could not be %s: %s", pid, kill ? "killed" : "frozen", strerror(-r));
	else if (kill)
		snprintf(ret_words, size, "PID %u was killed; the call under way may still have taken effect", pid);
	else
		snprintf(ret_words, size, "PID %u is frozen (kill -CONT %u lets it go on); the call under way may have taken effect",
			 pid, pid);
	return r;
}
