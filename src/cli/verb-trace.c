/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe trace: records system calls, from a live source or another trace, into a file or to a listener. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/words.h"
#include "cli/progress.h"
#include "cli/service.h"
#include "cli/targets.h"
#include "cli/verbs.h"
#include "control/stream.h"
#include "sensor/sensor.h"
#include "trace/thread-table.h"
#include "trace/trace.h"

#define FLUSH_SECONDS   5 /* what a file can lack after a crash */

struct trace_config {
	struct targets targets;
	const char *output, *format, *socket;
	bool stream, follow, follow_too, no_follow_exec, no_origins, background, quiet;
};

static int set_stream(void *config, const char *value, struct errmsg *err)
{
	struct trace_config *trace = config;

	trace->stream = true;
	trace->socket = value;
	return 0;
}

static const struct option_spec options[] = {
	TARGETS_OPTIONS(struct trace_config, targets),
	OPTION_FLAG('f', "follow", struct trace_config, follow, "follow children, by fork, vfork or clone"),
	OPTION_FLAG('F', NULL, struct trace_config, follow_too, "the same as -f; vfork is included in both"),
	OPTION_FLAG(0, "no-follow-exec", struct trace_config, no_follow_exec, "a process that runs another program is left alone from there on"),
	OPTION_CALL('g', "stream", "[SOCKET]", set_stream, "send the trace to a listening 'imsafe monitor -g'"),
	OPTION_STRING('o', "output", "FILE", struct trace_config, output, "write to FILE; %p in it is the process id, %t the time, %% a %; '-' is standard output, and COMMAND's own goes to standard error"),
	OPTION_STRING(0, "format", "text|compact", struct trace_config, format, "of the file (default: compact if FILE ends in .imt)"),
	OPTION_FLAG(0, "no-origins", struct trace_config, no_origins, "do not look at where calls come from"),
	OPTION_FLAG(0, "daemon", struct trace_config, background, "run in the background until it is killed (TERM); problems go to syslog"),
	OPTION_FLAG('q', "quiet", struct trace_config, quiet, "do not say at the end what was recorded"),
	OPTION_END
};

static int verb_trace_run(int argc, char **argv);

const struct verb verb_trace = {
	.name = "trace",
	.summary = "record the system calls of an application",
	.synopsis = "[OPTIONS] -p PID | -x FILE | -u UNIT | TRACE | -- COMMAND [ARGUMENT ...]",
	.description = "Records the system calls of an application, per thread and in order, until it ends or Ctrl-C. The\n"
		       "application goes on as before. TRACE is a recorded trace in any format: it is converted. From inetd or\n"
		       "a socket unit, COMMAND gets the connection untouched, messages go to syslog, and if recording is not\n"
		       "possible the service runs all the same.\n\n"
		       SERVICE_SIGNALS,
	.examples = "  imsafe trace -f -p 909 -o ftpd.imt               a server and its children\n"
		    "  imsafe trace -f -o session.trace -- in.ftpd -l   a command\n"
		    "  imsafe trace -g -f -p 909                        for 'imsafe monitor -g'\n"
		    "  imsafe trace strace.out -o ftpd.trace            convert\n"
		    "  ims-trace -f -o /var/lib/imsafe/ftpd-%t-%p.imt -- /usr/sbin/in.ftpd\n"
		    "                                  in inetd.conf: a trace a session\n",
	.options = options,
	.run = verb_trace_run,
};

struct recording {
	struct trace_config config;
	struct messages messages;
	bool connection; /* COMMAND is a service, standard input its connection */
	bool live_output; /* someone reads as we write: flush at once */
	sigset_t mask;   /* signals as they were */
	int interrupts, ready, stream;
	int output; /* standard output, when what a command prints is kept out of it; else -1 */
	struct sensor *sensor;
	struct trace_writer *writers[2];
	size_t n_writers;
	bool waiting;    /* the writers are opened when it is known whose trace it is */
	struct thread_table *threads;
	uint64_t calls, gaps, lost, n_threads;
	time_t flushed;
	bool unflushed;
	bool counting;   /* on the terminal, while it lasts */
	struct progress progress;
	struct errmsg *err; /* of the writers, while dispatching */
};

/* Not only numbers are counted wrong without memory: without it threads are not counted. */
static void count(struct recording *recording, const struct event *event)
{
	bool is_new = false;

	switch (event->kind) {
	case EVENT_GAP:
		recording->gaps++;
		recording->lost = event_add_lost(recording->lost, event->lost);
		return;
	case EVENT_EXIT:
		if (recording->threads)
			thread_table_remove(recording->threads, event->tid);
		return;
	case EVENT_EXEC:
		if (event->parent && recording->threads)
			thread_table_rename(recording->threads, event->parent, event->tid);
		break;
	case EVENT_CALL:
		recording->calls++;
		break;
	default:
		break;
	}
	if (recording->threads && thread_table_get(recording->threads, event->tid, &is_new))
		recording->n_threads += is_new;
}

static int flush(struct recording *recording, bool now, struct errmsg *err)
{
	time_t second = (time_t)(clock_ns() / 1000000000U);

	if (!recording->unflushed || (!now && !recording->live_output && second - recording->flushed < FLUSH_SECONDS))
		return 0;
	for (size_t i = 0; i < recording->n_writers; i++) {
		int r = trace_writer_flush(recording->writers[i], err);

		if (r < 0)
			return r;
	}
	recording->unflushed = false;
	recording->flushed = second;
	return 0;
}

static int finish(struct recording *recording, struct errmsg *err)
{
	int result = 0;

	for (size_t i = 0; i < recording->n_writers; i++) {
		int r = trace_writer_finish(recording->writers[i], result < 0 ? NULL : err);

		result = MIN(result, r);
	}
	return result;
}

static int parse_format(const struct trace_config *config, struct errmsg *err)
{
	int format = config->format ? trace_format_by_name(config->format) : TRACE_AUTO;

	if (format != TRACE_AUTO && format != TRACE_TEXT && format != TRACE_COMPACT)
		return errmsg_set(err, -EINVAL, NULL, 0, "--format is text or compact, not '%s'", config->format);
	return format;
}

/* What can be known before a command is started: that the file's folder is there and can be written. */
static int check_output(const struct trace_config *config, struct errmsg *err)
{
	char path[PATH_MAX], *slash;
	struct stat st;
	int r = targets_file_name(&config->targets, 0, config->output, path, err);

	if (r < 0 || !strcmp(path, "-"))
		return r;
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? errmsg_errno(err, -EISDIR, path, "cannot write it") : 0;
	slash = strrchr(path, '/');
	if (slash)
		slash[slash == path] = '\0';
	if (access(slash ? path : ".", W_OK | X_OK) < 0)
		return errmsg_errno(err, -errno, config->output, "cannot write it");
	return 0;
}

/* A named pipe waits for its reader, for as long as nobody asks us to end. -EINVAL: it is none. */
static int open_pipe(const struct recording *recording, const char *path, struct errmsg *err)
{
	struct pollfd interrupt = { .fd = recording->interrupts, .events = POLLIN };
	int fd;

	while ((fd = pipe_open(path)) == -EAGAIN)
		if (poll(&interrupt, 1, 100) > 0)
			return errmsg_set(err, -EINTR, path, 0, "ended while waiting for someone who reads it");
	return fd < 0 ? errmsg_errno(err, fd, path, "cannot write it") : fd;
}

/* fd -1: opens path. */
static int add_writer(struct recording *recording, const char *path, int fd, int format, const struct trace_info *info,
		      const struct modules *modules, struct errmsg *err)
{
	struct trace_writer **writer = &recording->writers[recording->n_writers];
	int r;

	if (format < 0)
		return format;
	if (fd < 0 && strcmp(path, "-")) {
		fd = open_pipe(recording, path, err);
		if (fd < 0 && fd != -EINVAL)
			return fd;
	}
	if (fd >= 0)
		r = trace_writer_open_fd(fd, path, (enum trace_format)format, info, modules, writer, err);
	else
		r = trace_writer_open(path, (enum trace_format)format, info, modules, writer, err);
	recording->n_writers += r >= 0;
	return r;
}

static int open_writers(struct recording *recording, struct errmsg *err)
{
	const struct sensor *sensor = recording->sensor;
	const struct trace_info info = {
		.arch = sensor->info.arch,
		.application = sensor->info.application,
		.build_id = sensor->info.build_id,
		.sensor = sensor->info.name,
		.start = sensor->info.start,
	};
	const char *output = recording->config.output;
	char path[PATH_MAX];
	int r = 0;

	if (recording->config.stream) {
		r = add_writer(recording, "the listener", TAKE_FD(recording->stream), TRACE_TEXT, &info, &sensor->modules, err);
		if (r >= 0)
			r = trace_writer_flush(recording->writers[0], err); /* it shall know at once whose trace this is */
		recording->live_output = true;
		if (r < 0 || !output)
			return r;
	}
	r = targets_file_name(&recording->config.targets, sensor->command, output ? output : "-", path, err);
	if (r < 0)
		return r;
	recording->live_output |= !strcmp(path, "-");
	return add_writer(recording, recording->output >= 0 ? "standard output" : path, TAKE_FD(recording->output),
			  parse_format(&recording->config, err), &info, &sensor->modules, err);
}

/* A sensor knows the application at the latest with its first event. */
static int open_waiting_writers(struct recording *recording, struct errmsg *err)
{
	if (!recording->waiting)
		return 0;
	recording->waiting = false;
	return open_writers(recording, err);
}

/* A recording cannot be made again: what there is of its file stays when it cannot be written any more. */
static int say_what_stays(int error, struct errmsg *err)
{
	size_t n = strlen(err->text);
	struct stat st;

	if ((error == -ENOSPC || error == -EDQUOT || error == -EFBIG || error == -EIO) && *err->file &&
	    stat(err->file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size)
		snprintf(err->text + n, sizeof(err->text) - n, "; it stays, and 'imsafe trace FILE -o NEW' makes a trace of what it has");
	return error;
}

static int on_events(void *data, const struct event *events, size_t n)
{
	struct recording *recording = data;
	int r = open_waiting_writers(recording, recording->err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		count(recording, &events[i]);
	recording->unflushed = true;
	for (size_t i = 0; i < recording->n_writers; i++) {
		r = trace_writer_write(recording->writers[i], events, n, recording->err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int open_sensor(struct recording *recording, struct errmsg *err)
{
	const struct trace_config *config = &recording->config;
	struct target targets[TARGETS_MAX];
	struct sensor_config sensor_config = {
		.targets = targets,
		.follow_fork = config->follow || config->follow_too,
		.follow_exec = !config->no_follow_exec,
		.origins = !config->no_origins,
		.sites = !config->no_origins,
		.times = true,
	};
	int r = targets_list(&config->targets, targets, &sensor_config.n_targets, err);

	if (r < 0)
		return r;
	return sensor_open(config->targets.sensor, &sensor_config, &recording->sensor, err);
}

/* Until the application ends (0), an interrupt (1) or an error. */
static int record(struct recording *recording, struct errmsg *err)
{
	struct sensor *sensor = recording->sensor;
	struct pollfd fds[] = {
		{ .fd = sensor->ops->fd(sensor), .events = POLLIN },
		{ .fd = recording->interrupts, .events = POLLIN },
	};

	recording->err = err;
	for (;;) {
		int r = sensor->ops->dispatch(sensor, on_events, recording, err);
		int f = r < 0 ? r : flush(recording, false, err);

		if (recording->counting)
			progress_update(&recording->progress, -1, "%" PRIu64 " call%s of %" PRIu64 " thread%s", recording->calls,
					recording->calls == 1 ? "" : "s", recording->n_threads, recording->n_threads == 1 ? "" : "s");
		if (r <= 0 || f < 0)
			return MIN(r, f);
		if (fds[1].revents)
			return 1;
		if (poll(fds, ARRAY_SIZE(fds), recording->unflushed ? FLUSH_SECONDS * 1000 : -1) < 0 && errno != EINTR)
			return errmsg_errno(err, -errno, NULL, "cannot wait for the sensor");
	}
}

static void say_result(const struct recording *recording, double seconds)
{
	struct sensor_stats stats = { 0 };
	char gaps[128] = "no gaps", unknown[128] = "", lost[48];

	if (recording->sensor)
		recording->sensor->ops->stats(recording->sensor, &stats);
	if (recording->gaps)
		snprintf(gaps, sizeof(gaps), "%" PRIu64 " gap%s with %s lost", recording->gaps,
			 recording->gaps == 1 ? "" : "s", words_lost(recording->lost, lost));
	if (stats.unknown_origins && !recording->config.no_origins)
		snprintf(unknown, sizeof(unknown), "; where %" PRIu64 " of them came from is not known", stats.unknown_origins);
	if ((!recording->config.quiet && !recording->messages.syslog) || recording->gaps)
		messages_note(&recording->messages, "%s %" PRIu64 " call%s of %" PRIu64 " thread%s%s%s in %.1f s; %s%s",
			      recording->sensor ? "recorded" : "converted", recording->calls, recording->calls == 1 ? "" : "s", recording->n_threads, recording->n_threads == 1 ? "" : "s", recording->sensor ? " by " : "",
			      recording->sensor ? recording->sensor->info.name : "", seconds, gaps, unknown);
}

/* A trace and what a command prints do not go through one pipe: the command's output goes where its messages go. */
static int part_outputs(struct recording *recording, struct errmsg *err)
{
	recording->output = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (recording->output < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		return errmsg_errno(err, -errno, "standard output", "cannot write to it");
	return 0;
}

static int trace_live(struct recording *recording, struct errmsg *err)
{
	const struct trace_config *config = &recording->config;
	bool writes_stdout = !config->stream && (!config->output || !strcmp(config->output, "-"));
	uint64_t start = clock_ns();
	char note[1200];
	int r = 0, finished;

	if (recording->config.targets.command && !config->stream && !config->output)
		return errmsg_set(err, -EINVAL, NULL, 0, "where shall the command's trace go? -o FILE, or -g");
	if (recording->connection && writes_stdout)
		return errmsg_set(err, -EINVAL, NULL, 0, "standard output is the service's connection; use -o FILE or -g");
	r = parse_format(config, err);
	if (r >= 0 && config->output)
		r = check_output(config, err);
	if (r >= 0 && config->stream)
		r = stream_connect(config->socket, &recording->stream, err);
	if (r >= 0 && config->targets.command && writes_stdout)
		r = part_outputs(recording, err);
	if (r >= 0)
		r = open_sensor(recording, err);
	if (r < 0)
		return r;
	if (*err->text && !config->quiet && !recording->messages.syslog)
		messages_note(&recording->messages, "using the %s sensor (%s)", recording->sensor->info.name,
			      escape_text(note, sizeof(note), err->text));
	else if (!config->targets.command && !config->background && !config->quiet && !recording->messages.syslog && isatty(STDERR_FILENO))
		messages_note(&recording->messages, "recording by %s; Ctrl-C ends it", recording->sensor->info.name);
	if (!config->quiet)
		targets_say_waiting(&config->targets, &recording->messages);
	*err = (struct errmsg){ 0 };
	/* From here on a command runs. */
	interrupts_command(recording->sensor->command);
	recording->threads = thread_table_new(1);
	recording->waiting = true;
	r = recording->sensor->info.application ? open_waiting_writers(recording, err) : 0;
	if (r >= 0) {
		if (config->background && !config->quiet && isatty(STDERR_FILENO))
			messages_note(&recording->messages, "in the background; 'kill %d' ends it, with a complete file", (int)getpid());
		background_ready(&recording->ready, EXIT_OK);
		if (config->background)
			messages_open(&recording->messages, recording->messages.program, true);
		if (recording->config.targets.command || config->background)
			service_hand_over(&recording->messages, writes_stdout);
		recording->counting = !config->targets.command && !config->background && !config->quiet && !writes_stdout &&
				      !recording->messages.syslog;
		progress_init(&recording->progress, "recording");
		r = record(recording, err);
		progress_done(&recording->progress);
		if (r >= 0)
			r = open_waiting_writers(recording, err); /* nothing happened: a trace that says so */
	}
	finished = finish(recording, r < 0 ? NULL : err);
	if (r >= 0 && finished >= 0)
		say_result(recording, (double)(clock_ns() - start) / 1e9);
	return say_what_stays(MIN(r, finished), err);
}

/* A recording that was cut off is made whole by converting it. Its name's ".part" is what we write to, too. */
static int check_overwriting(const struct recording *recording, const char *path, struct errmsg *err)
{
	char part[PATH_MAX + 8];
	struct stat in, out;

	snprintf(part, sizeof(part), "%s.part", recording->config.output ? recording->config.output : "");
	if (stat(path, &in) < 0 || stat(part, &out) < 0 || in.st_dev != out.st_dev || in.st_ino != out.st_ino)
		return 0;
	return errmsg_set(err, -EINVAL, path, 0, "it would be written over while it is read: rename it, or name another output");
}

/* After an error. What was whole of a damaged file is kept, under its name; of anything else, nothing. */
static int end_conversion(struct recording *recording, int error, struct errmsg *err)
{
	size_t n = strlen(err->text);

	if (error == -EBADMSG && recording->calls && finish(recording, NULL) >= 0) {
		if (recording->config.output)
			snprintf(err->text + n, sizeof(err->text) - n, " and are in %.200s",
				 strcmp(recording->config.output, "-") ? recording->config.output : "standard output");
		return error;
	}
	for (size_t i = 0; i < recording->n_writers; i++)
		trace_writer_discard(recording->writers[i]);
	recording->n_writers = 0;
	return error;
}

static int trace_file(struct recording *recording, const char *path, struct errmsg *err)
{
	_cleanup_(trace_reader_closep) struct trace_reader *reader = NULL;
	struct trace_config *config = &recording->config;
	uint64_t start = clock_ns();
	struct pollfd interrupt = { .fd = recording->interrupts, .events = POLLIN };
	struct progress progress;
	struct event events[4096];
	ssize_t n = 0;
	int r = check_overwriting(recording, path, err);

	if (r >= 0)
		r = trace_reader_open_interruptible(path, TRACE_AUTO, recording->interrupts, &reader, err);
	if (r < 0)
		return r;
	if (config->stream) {
		r = stream_connect(config->socket, &recording->stream, err);
		if (r >= 0)
			r = add_writer(recording, "the listener", TAKE_FD(recording->stream), TRACE_TEXT, trace_reader_info(reader),
				       trace_reader_modules(reader), err);
	}
	if (r >= 0 && (config->output || !config->stream))
		r = add_writer(recording, config->output ? config->output : "-", -1, parse_format(config, err),
			       trace_reader_info(reader), trace_reader_modules(reader), err);
	if (r < 0)
		return r;
	recording->threads = thread_table_new(1);
	recording->err = err;
	progress_init(&progress, "converting");
	while (r >= 0 && poll(&interrupt, 1, 0) <= 0 && (n = trace_reader_read(reader, events, ARRAY_SIZE(events), err)) > 0) {
		r = on_events(recording, events, (size_t)n);
		progress_update(&progress, trace_reader_progress(reader), "%s", path);
	}
	progress_done(&progress);
	if ((n < 0 && n != -EINTR) || r < 0)
		return end_conversion(recording, n < 0 ? (int)n : r, err);
	r = finish(recording, err);
	if (r >= 0)
		say_result(recording, (double)(clock_ns() - start) / 1e9);
	return r;
}

static int run(struct recording *recording, int n_files, char **files, struct errmsg *err)
{
	const struct trace_config *config = &recording->config;
	bool live = targets_count(&config->targets);

	if (!live && !n_files)
		return errmsg_set(err, -EINVAL, NULL, 0, "record what? -p PID, -x FILE, -u UNIT, a trace file, or -- COMMAND");
	if (n_files > 1 || (n_files && live))
		return errmsg_set(err, -EINVAL, NULL, 0, "'%s' is one too many: a command stands behind --, a trace file alone",
				  files[live ? 0 : 1]);
	return n_files ? trace_file(recording, files[0], err) : trace_live(recording, err);
}

static int verb_trace_run(int argc, char **argv)
{
	struct recording recording = { .interrupts = -1, .ready = -1, .stream = -1, .output = -1 };
	struct errmsg err = { 0 };
	pid_t command;
	int rest, r, status;

	sigprocmask(SIG_SETMASK, NULL, &recording.mask);
	recording.config.targets.command = targets_split_command(&argc, argv);
	recording.config.targets.mask = &recording.mask;
	recording.connection = recording.config.targets.command && service_has_connection();
	messages_open(&recording.messages, argv[0], false);
	r = options_parse(&verb_trace, argc, argv, &recording.config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && recording.config.background) {
		r = background_enter(&recording.ready, &err);
		if (r < 0)
			recording.config.background = false;
	}
	if (r >= 0) {
		r = interrupts_open(&recording.interrupts, &recording.mask);
		if (r < 0)
			errmsg_errno(&err, r, NULL, "cannot prepare for signals");
	}
	if (r >= 0)
		r = run(&recording, argc - rest, argv + rest, &err);
	status = r < 0 ? EXIT_ERROR : EXIT_OK;
	if (r < 0)
		messages_error(&recording.messages, &err);
	background_ready(&recording.ready, status);
	command = recording.sensor ? recording.sensor->command : 0;
	sensor_close(recording.sensor);
	for (size_t i = 0; i < recording.n_writers; i++)
		trace_writer_close(recording.writers[i]);
	thread_table_free(recording.threads);
	closep(&recording.stream);
	closep(&recording.output);
	if (r < 0 && recording.connection && !command)
		return service_run_unwatched(&recording.messages, recording.config.targets.command, &recording.mask);
	if (r < 0 && r != -EINTR)
		service_wait(command);
	return status;
}
