/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trace/input.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define INPUT_SIZE (256U << 10) /* at first; stays inside the second-level cache */

int input_open(struct input *input, const char *path, int interrupt, struct errmsg *err)
{
	bool standard = !strcmp(path, "-");
	/* A duplicate, so that closing is the same for both. */
	int fd = standard ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) :
			    open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | (interrupt ? O_NONBLOCK : 0)), r;

	if (fd < 0) {
		*input = (struct input){ .fd = -1 };
		return errmsg_errno(err, -errno, standard ? "standard input" : path, "cannot open it");
	}
	r = input_open_fd(input, fd, standard ? "standard input" : path, err);
	if (!standard && interrupt)
		fcntl(fd, F_SETFL, O_RDONLY);
	input->interrupt = interrupt;
	return r;
}

int input_open_fd(struct input *input, int fd, const char *name, struct errmsg *err)
{
	struct stat st;

	*input = (struct input){ .fd = fd, .name = strdup(name), .allocated = INPUT_SIZE };
	input->buffer = malloc(input->allocated + INPUT_PADDING);
	if (!input->name || !input->buffer)
		return errmsg_errno(err, -ENOMEM, name, "cannot read it");
	input->at = input->end = input->buffer;
	memset(input->end, '\n', INPUT_PADDING);
	if (fstat(input->fd, &st) < 0)
		return errmsg_errno(err, -errno, input->name, "cannot open it");
	if (S_ISDIR(st.st_mode))
		return errmsg_errno(err, -EISDIR, input->name, "cannot read it");
	if (S_ISREG(st.st_mode)) {
		input->size = (uint64_t)st.st_size;
		posix_fadvise(input->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	}
	return 0;
}

void input_close(struct input *input)
{
	closep(&input->fd);
	free(input->buffer);
	free(input->name);
	*input = (struct input){ .fd = -1 };
}

/* Until there is something to read, or it shall not be waited for. A named pipe that nobody has opened yet is not at its end. */
static int wait_for_more(const struct input *input, struct errmsg *err)
{
	struct pollfd fds[] = { { .fd = input->fd, .events = POLLIN }, { .fd = input->interrupt, .events = POLLIN } };

	while (poll(fds, 2, -1) < 0)
		if (errno != EINTR)
			return errmsg_errno(err, -errno, input->name, "cannot wait for it");
	return fds[0].revents ? 0 : errmsg_set(err, -EINTR, input->name, 0, "interrupted while waiting for it");
}

int input_fill(struct input *input, struct errmsg *err)
{
	size_t kept = (size_t)(input->end - input->at);
	ssize_t n;

	if (input->eof)
		return 0;
	if (kept == input->allocated) {
		size_t allocated = input->allocated * 2;
		char *buffer;

		if (allocated > INPUT_MAX)
			return errmsg_set(err, -EFBIG, input->name, input->line + 1, "a line of more than %u MiB",
					  INPUT_MAX >> 20);
		buffer = malloc(allocated + INPUT_PADDING);
		if (!buffer)
			return errmsg_errno(err, -ENOMEM, input->name, "cannot read it");
		memcpy(buffer, input->at, kept);
		free(input->buffer);
		input->buffer = buffer;
		input->allocated = allocated;
	} else {
		memmove(input->buffer, input->at, kept);
	}
	input->at = input->buffer;
	input->end = input->buffer + kept;
	if (input->interrupt && !input->size && wait_for_more(input, err) < 0) {
		memset(input->end, '\n', INPUT_PADDING);
		return -EINTR;
	}
	do
		n = read(input->fd, input->end, input->allocated - kept);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		memset(input->end, '\n', INPUT_PADDING);
		return errmsg_errno(err, -errno, input->name, "cannot read it");
	}
	input->end += n;
	input->offset += (uint64_t)n;
	input->eof = n == 0;
	memset(input->end, '\n', INPUT_PADDING);
	return n > 0;
}

int input_need(struct input *input, size_t n, struct errmsg *err)
{
	while ((size_t)(input->end - input->at) < n) {
		int r = input_fill(input, err);

		if (r <= 0)
			return r;
	}
	return 1;
}

int input_lines(struct input *input, bool wait, char **ret_limit, struct errmsg *err)
{
	char *from = input->at, *newline;

	for (;;) {
		size_t looked;
		int r;

		newline = from < input->end ? memrchr(from, '\n', (size_t)(input->end - from)) : NULL;
		if (newline) {
			*ret_limit = newline + 1;
			return 1;
		}
		if (!wait && !input->eof)
			return 0;
		looked = (size_t)(input->end - input->at);
		r = input_fill(input, err);
		if (r < 0)
			return r;
		if (!r) {
			*ret_limit = input->end;
			return input->at < input->end;
		}
		from = input->at + looked;
	}
}
