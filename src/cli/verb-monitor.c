/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe monitor: a live source or a trace against a profile. */
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/words.h"
#include "cli/layout.h"
#include "cli/monitor-guard.h"
#include "cli/monitor-judge.h"
#include "cli/monitor-report.h"
#include "cli/monitor-source.h"
#include "cli/service.h"
#include "cli/verbs.h"

#define TICK    100  /* ms between two pictures, and between two writes of the log */
#define FAREWELL 1000 /* ms for processes that a command leaves when it ends by a signal */

struct monitor_config {
	struct source_config source;
	struct judge_config judge;
	const char *log, *command, *respond;
	bool once, json, quiet, brief, plain, dry_run, no_fork, no_exec, follow;
};

static int parse_threshold(void *data, const char *value, struct errmsg *err)
{
	struct monitor_config *config = data;

	config->judge.threshold_auto = !strcmp(value, "auto");
	config->judge.threshold_given = !config->judge.threshold_auto;
	if (!config->judge.threshold_auto && parse_double(value, 0.01, 99.99, &config->judge.threshold) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "--threshold takes a percentage between 0 and 100, or 'auto', not '%s'", value);
	return 0;
}

/* "1%" of sessions, "2/day", "1/week". */
static int parse_rate(void *data, const char *value, struct errmsg *err)
{
	struct monitor_config *config = data;
	char number[32];
	size_t n = strcspn(value, "%/");
	const char *unit = value + n;
	double per = !strcmp(unit, "%") ? 100 : !strcmp(unit, "/day") ? 1 : !strcmp(unit, "/week") ? 7 : 0;

	snprintf(number, sizeof(number), "%.*s", (int)n, value);
	if (!per || n >= sizeof(number) || parse_double(number, 0, 1e6, &config->judge.rate) < 0 || config->judge.rate <= 0 ||
	    (*unit == '%' && config->judge.rate >= 100))
		return errmsg_set(err, -EINVAL, NULL, 0, "--rate takes a share of sessions or alarms in a time, like 1%%, 2/day, 1/week, "
				  "not '%s'", value);
	config->judge.rate /= per;
	config->judge.per_day = *unit == '/';
	config->judge.rate_given = true;
	return 0;
}

static int parse_means(void *data, const char *value, struct errmsg *err)
{
	struct monitor_config *config = data;

	memset(config->judge.means, 0, sizeof(config->judge.means));
	if (parse_uint_list(value, 1, MEAN_MAX, config->judge.means, MEAN_WINDOWS) < 0)
		return errmsg_set(err, -EINVAL, NULL, 0, "--mean takes one to %d lengths from 1 to %d, like 32 or 32,8, not '%s'",
				  MEAN_WINDOWS, MEAN_MAX, value);
	return 0;
}

static int parse_detector(void *data, const char *value, struct errmsg *err)
{
	struct monitor_config *config = data;

	if (strcmp(value, "predictor") && strcmp(value, "sequences"))
		return errmsg_set(err, -EINVAL, NULL, 0, "there is no detector '%s'; there is predictor, sequences", value);
	config->judge.reading = !strcmp(value, "sequences") ? READING_SEQUENCES : READING_PREDICTOR;
	return 0;
}

static int parse_listen(void *data, const char *value, struct errmsg *err)
{
	struct monitor_config *config = data;

	config->source.listen = true;
	config->source.socket = value;
	return 0;
}

static const struct option_spec options[] = {
	TARGETS_OPTIONS(struct monitor_config, source.targets),
	OPTION_CALL('g', "listen", "[SOCKET]", parse_listen, "listen for 'imsafe trace -g', any number of them"),
	OPTION_CALL('t', "threshold", "PERCENT", parse_threshold,
		    "alarm when the mean normality falls below; 'auto' (default): thresholds from the profile's training"),
	OPTION_CALL('r', "rate", "RATE", parse_rate, "false alarms that 'auto' aims at: 1% of sessions (default), 2/day, 1/week"),
	OPTION_CALL('m', "mean", "N[,N[,N]]", parse_means, "over how many of a thread's latest calls means are taken; the first is the one shown (32,8)"),
	OPTION_UINT(0, "min-calls", "N", struct monitor_config, judge.min_calls, 1, 65535, "judge no thread before so many calls"),
	OPTION_CALL(0, "detector", "predictor|sequences", parse_detector, "predictor (default), or sequences: learned sequence or not"),
	OPTION_STRING(0, "foreign", "on|off|sites", struct monitor_config, judge.foreign,
		      "alarm at the first call from a stack, heap ... (on); sites: or from where training saw none"),
	OPTION_STRING('l', "log", "FILE", struct monitor_config, log,
		      "write the normality after each call, for 'imsafe plot'; %p in it is the process id, %t the time, %% a %"),
	OPTION_STRING('e', "exec", "COMMAND", struct monitor_config, command,
		      "run COMMAND on an alarm: $IMSAFE_HEADLINE, $IMSAFE_PID ..., JSON on its standard input"),
	OPTION_FLAG(0, "exec-once", struct monitor_config, once, "not for alarms like one before (default: for each)"),
	OPTION_STRING(0, "respond", "none|stop|kill", struct monitor_config, respond, "stop (freeze) or kill the process on an alarm; off by default"),
	OPTION_FLAG(0, "dry-run", struct monitor_config, dry_run, "say what --respond would have done"),
	OPTION_FLAG(0, "no-follow-fork", struct monitor_config, no_fork, "leave child processes alone"),
	OPTION_FLAG(0, "no-follow-exec", struct monitor_config, no_exec, "let go of a process that runs another program"),
	OPTION_FLAG(0, "json", struct monitor_config, json, "one JSON object a line: each alarm, then a summary"),
	OPTION_FLAG(0, "brief", struct monitor_config, brief, "one line an alarm"),
	OPTION_FLAG(0, "plain", struct monitor_config, plain, "plain lines instead of the live view"),
	OPTION_FLAG('q', "quiet", struct monitor_config, quiet, "print nothing but errors: the exit status tells"),
	OPTION_FLAG('f', NULL, struct monitor_config, follow, NULL),
	OPTION_FLAG('F', NULL, struct monitor_config, follow, NULL),
	OPTION_END
};

static int verb_monitor_run(int argc, char **argv);

const struct verb verb_monitor = {
	.name = "monitor",
	.summary = "watch a live source or a trace against a profile",
	.synopsis = "[OPTIONS] PROFILE {TRACE | -p PID | -x FILE | -u UNIT | -g | -- COMMAND ...}",
	.description = "Scores every system call by how well the profile foresaw it, and raises an alarm when a running mean of a\n"
		       "thread's normality falls below its threshold, or at once at a call from memory that should make none.\n"
		       "Two means are taken, over 32 calls and over 8 for short bursts; --mean chooses others. --threshold is that\n"
		       "of the first; a shorter one after it, which scatters more, gets a lower one: PERCENT x sqrt(N / first N).\n\n"
		       "TRACE is a trace file of any known format, or '-' for standard input. On a terminal, live sources get\n"
		       "a live view. Exit status: 0 no alarm, 1 alarm, 2 error.\n\n"
		       "Responses cannot prevent the call that raised the alarm: it is under way when the signal is sent.\n\n"
		       SERVICE_SIGNALS,
	.examples = "  imsafe monitor ftpd.db session.trace             judge a recording\n"
		    "  imsafe monitor ftpd.db -p 909 --log ftpd.log     a process, and a log to plot\n"
		    "  imsafe monitor nginx.db -x /usr/sbin/nginx --exec-once --exec \\\n"
		    "      'mail -s \"$IMSAFE_HEADLINE\" root'            a mail for each cause\n"
		    "  imsafe monitor -g ftpd.db                        what ims-trace -g sends\n"
		    "  imsafe monitor -q app.db -- ./app --self-test    fails if it behaves otherwise\n",
	.options = options,
	.run = verb_monitor_run,
};

struct run {
	struct monitor_config config;
	struct judge judge;
	struct source source;
	struct guarding guarding; /* the kernel scores: in place of the source */
	struct monitor_report report;
	struct messages messages;
	bool connection; /* the command is a service, standard input its connection */
	sigset_t mask;   /* signals as they were */
	int signals;
	bool quit;
	struct service_command command;
	const char *reason;
	struct event *judged; /* a copy of the events under way, for call sites to be judged in */
	size_t judged_size;
	struct errmsg *err;
};

/* A profile refuses a trace of another architecture: its numbers are other calls. */
static int check_arch(struct run *run, const struct sensor *sensor)
{
	enum syscall_arch theirs = sensor->info.arch, ours = run->judge.image.header->arch;

	if (theirs == ARCH_UNKNOWN || ours == ARCH_UNKNOWN || theirs == ours)
		return 0;
	return errmsg_set(run->err, -EPROTOTYPE, run->config.source.trace, 0, "the calls are %s, the profile is %s", arch_name(theirs),
			  arch_name(ours));
}

/* Judging another program's trace may be meant, as somebody compares programs, or somebody may have taken the wrong profile. */
static void note_application(const struct run *run, const struct sensor *sensor)
{
	const char *theirs = sensor->info.application, *ours = profile_info(run->judge.profile)->application;
	char trace[1024], profile[1024];

	if (run->config.quiet || sensor->ops != &sensor_replay || !theirs || !ours)
		return;
	if (*theirs == '/' && *ours == '/' && strcmp(theirs, ours))
		messages_note(&run->messages, "the trace is of %s, the profile of %s", escape_text(trace, sizeof(trace), theirs),
			      escape_text(profile, sizeof(profile), ours));
}

/* Events are the sensor's: what is judged of them goes into a copy. */
static int judge_sites(struct run *run, const struct event **events, size_t n)
{
	if (n > run->judged_size) {
		struct event *bigger = realloc(run->judged, n * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		run->judged = bigger;
		run->judged_size = n;
	}
	memcpy(run->judged, *events, n * sizeof(**events));
	sites_judge(&run->judge.sites, run->judged, n, run->report.modules);
	*events = run->judged;
	return 0;
}

static int take_events(void *data, struct sensor *sensor, const struct event *events, size_t n)
{
	struct run *run = data;

	if (!n) {
		note_application(run, sensor);
		return check_arch(run, sensor);
	}
	if (run->report.modules != &sensor->modules)
		sites_next_stream(&run->judge.sites);
	run->report.modules = &sensor->modules;
	run->report.sensor = sensor;
	run->report.recorded = (struct recorded){ sensor->info.application, sensor->info.build_id };
	if (run->judge.sites.n && judge_sites(run, &events, n) < 0)
		return errmsg_errno(run->err, -ENOMEM, NULL, "cannot go on");
	if (monitor_add(run->report.monitor, events, n) < 0)
		return errmsg_errno(run->err, -ENOMEM, NULL, "cannot go on");
	return 0;
}

static void take_signal(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signals, &info, sizeof(info)) != sizeof(info))
		return;
	/* A stopped tracer would stop its tracees: Ctrl-Z does nothing here. A new window size is seen at the next drawing. */
	if (info.ssi_signo == SIGTSTP || info.ssi_signo == SIGWINCH || info.ssi_signo == SIGALRM)
		return;
	if (!service_command_signal(&run->command, (int)info.ssi_signo, info.ssi_code == SI_KERNEL))
		return;
	run->quit = true;
	run->reason = info.ssi_signo == SIGINT ? "interrupted" : "ended by a signal";
}

/* Signals are read from a descriptor. */
static int take_over_signals(struct run *run)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGTSTP, SIGWINCH };
	sigset_t set;

	sigemptyset(&set);
	/* The last two are for live sources only: a trace can wait while we are stopped. */
	for (size_t i = 0; i < ARRAY_SIZE(signals) - (run->config.source.trace ? 2 : 0); i++)
		sigaddset(&set, signals[i]);
	run->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->signals < 0)
		return errmsg_errno(run->err, -errno, NULL, "cannot watch for signals");
	sigprocmask(SIG_BLOCK, &set, &run->mask);
	run->config.source.targets.mask = &run->mask;
	run->config.source.interrupt = run->signals;
	return 0;
}

/*
 * A log that is a named pipe waits for its reader. Signals keep their meaning meanwhile: they are for a command first, which may
 * run already.
 */
static int open_log_pipe(struct run *run, int *ret_pipe)
{
	struct pollfd signals = { .fd = run->signals, .events = POLLIN };
	const char *path = run->config.log;
	int fd;

	while ((fd = pipe_open(path)) == -EAGAIN) {
		if (poll(&signals, 1, TICK) > 0)
			take_signal(run);
		if (run->quit || (run->command.told && service_command_ended(&run->command)))
			return errmsg_set(run->err, -EINTR, path, 0, "ended while waiting for someone who reads it");
	}
	if (fd < 0 && fd != -EINVAL)
		return errmsg_errno(run->err, fd, path, "cannot write the log");
	*ret_pipe = MAX(fd, 0);
	return 0;
}

/* While a pipe is silent the reader waits for it, or for a signal: this one lets the log and the alarms out. */
static void set_alarm_clock(const struct run *run, bool on)
{
	struct timeval interval = { .tv_usec = on ? TICK * 1000 : 0 };

	if (run->config.source.trace)
		setitimer(ITIMER_REAL, &(struct itimerval){ interval, interval }, NULL);
}

/* From here on Ctrl-C ends us at once, whatever we wait for. timeout(1) and shells send one wish to end as several signals. */
static void let_signals_end_us(const struct run *run)
{
	sigset_t same;

	sigemptyset(&same);
	sigaddset(&same, SIGINT);
	sigaddset(&same, SIGTERM);
	sigaddset(&same, SIGHUP);
	while (run->reason && sigtimedwait(&same, NULL, &(struct timespec){ .tv_nsec = 200000000 }) > 0)
		;
	sigemptyset(&same);
	sigaddset(&same, SIGALRM);
	sigtimedwait(&same, NULL, &(struct timespec){ 0 }); /* the last of the clock */
	sigprocmask(SIG_SETMASK, &run->mask, NULL);
}

/* Waits for the source, signals, keys and the end of a command. */
static void wait_for_work(struct run *run, bool ended)
{
	struct pollfd fds[SOURCE_SENSORS + 5];
	struct pollfd *mine;
	bool ready = false;
	size_t n = ended ? 0 : source_poll(&run->source, fds, &ready);

	if (run->guarding.guard && !ended)
		fds[n++] = (struct pollfd){ .fd = guarding_fd(&run->guarding), .events = POLLIN };
	mine = fds + n;
	mine[0] = (struct pollfd){ .fd = run->signals, .events = POLLIN };
	mine[1] = (struct pollfd){ .fd = run->report.view ? STDIN_FILENO : -1, .events = POLLIN };
	mine[2] = (struct pollfd){ .fd = run->report.hook.pidfd, .events = POLLIN };
	if (poll(fds, n + 3, ready ? 0 : TICK) <= 0)
		return;
	if (mine[0].revents)
		take_signal(run);
	if (mine[1].revents && run->report.view && live_view_input(run->report.view) == LIVE_VIEW_QUIT)
		run->quit = true;
}

/* Events until the source ends, someone quits, or something fails. One loop for files and live sources. */
static int monitor_source(struct run *run)
{
	int64_t ticked = 0, deadline = 0;
	bool ended = false;
	int r;

	while (!ended || run->report.view) {
		int64_t now = clock_ms();

		if (now - ticked >= TICK) {
			monitor_report_tick(&run->report, ended);
			ticked = now;
		}
		wait_for_work(run, ended);
		if (run->quit)
			break;
		if (run->command.told && !deadline && service_command_ended(&run->command))
			deadline = now + FAREWELL;
		if (deadline && now >= deadline) {
			run->reason = "ended by a signal";
			break;
		}
		if (run->report.deserted && !run->config.command && !run->config.log && !run->config.respond)
			break;
		if (ended)
			continue;
		if (run->guarding.guard)
			r = guarding_dispatch(&run->guarding, run->err);
		else
			r = source_dispatch(&run->source, take_events, run, run->err);
		if (r == -EINTR) /* a pipe gives nothing, and a signal wants to be taken, if only the clock's */
			continue;
		if (r < 0)
			return r;
		ended = !r;
		if (*run->source.warning.text)
			monitor_report_warning(&run->report, &run->source.warning);
		*run->source.warning.text = '\0';
	}
	return 0;
}

static void print_start(const struct run *run, const char *profile)
{
	const struct policy *policy = &run->judge.policy;
	const char *learned = profile_info(run->judge.profile)->application;
	char path[1024], title[1200], application[1200], note[1200], means[MEAN_WINDOWS * 64];
	size_t n = 0;

	/* Whose profile it is, unless that is just what is watched: somebody may have taken the wrong one. */
	if (learned && !strcmp(learned, run->source.title))
		learned = NULL;
	layout_printf(stderr, 2, "Watching %s against %s (%s%s%s%" PRIu64 " calls learned, sequence length %u).\n",
		      escape_text(title, sizeof(title), run->source.title), escape_text(path, sizeof(path), profile), learned ? "of " : "",
		      learned ? escape_text(application, sizeof(application), learned) : "", learned ? ", " : "",
		      (uint64_t)run->judge.image.header->calls, run->judge.image.header->length);
	for (unsigned i = 0; i < MEAN_WINDOWS && policy->window[i].length; i++)
		n += (size_t)snprintf(means + n, sizeof(means) - n, i ? ", %.1f %% of %u" : "%.1f %% for the mean of %u calls",
				      limit_percent(policy->window[i].limit), policy->window[i].length);
	layout_printf(stderr, 2, "%s: %s; %s.%s\n", policy->window[1].length ? "Thresholds" : "Threshold", means, run->judge.origin,
		      policy->foreign ? "" : " Foreign calls are not looked at.");
	if (*run->judge.promise) {
		fputs("  ", stderr);
		words_wrap(run->judge.promise, 2, 2, layout_width(stderr, UINT_MAX), stderr);
	}
	if (run->guarding.guard)
		fprintf(stderr, "Using the driver (--sensor=ebpf), which scores in the kernel.\n");
	else if (*run->source.note)
		layout_printf(stderr, 2, "Using the %s sensor (%s).\n", run->source.sensor_name,
			      escape_text(note, sizeof(note), run->source.note));
	targets_say_waiting(&run->config.source.targets, &run->messages);
}

static int check_config(struct run *run, enum response *ret_response)
{
	struct monitor_config *config = &run->config;
	int response = response_by_name(config->respond ? config->respond : "none");
	bool live, foreign = !config->judge.foreign || strcmp(config->judge.foreign, "off");
	char path[PATH_MAX];
	int r;

	config->source.origins = foreign;
	config->source.follow_fork = !config->no_fork;
	config->source.follow_exec = !config->no_exec;
	r = source_check(&config->source, &live, run->err);
	if (r < 0)
		return r;
	if (response < 0)
		return errmsg_set(run->err, -EINVAL, NULL, 0, "there is no response '%s'; there is none, stop, kill", config->respond);
	if (response && !live)
		return errmsg_set(run->err, -EINVAL, NULL, 0, "--respond needs a live source: the processes of a trace are gone");
	if (config->judge.foreign && foreign && strcmp(config->judge.foreign, "on") && strcmp(config->judge.foreign, "sites"))
		return errmsg_set(run->err, -EINVAL, NULL, 0, "--foreign takes on, off or sites, not '%s'", config->judge.foreign);
	if (config->log && !strcmp(config->log, "-") && config->json)
		return errmsg_set(run->err, -EINVAL, NULL, 0, "--log - and --json would both write to standard output");
	if (config->judge.threshold_given && config->judge.rate_given)
		return errmsg_set(run->err, -EINVAL, NULL, 0, "--rate chooses the threshold: give one of --rate and --threshold");
	if (run->connection && (config->json || (config->log && !strcmp(config->log, "-"))))
		return errmsg_set(run->err, -EINVAL, NULL, 0, "standard output is the service's connection: no --json and --log - here");
	*ret_response = (enum response)response;
	return config->log ? targets_file_name(&config->source.targets, 0, config->log, path, run->err) : 0;
}

/*
 * The kernel scores where it can. A log asks for every call in its place, which a recording gives: then calls are scored
 * here. 1 if the kernel does it.
 */
static int open_guard(struct run *run, const struct monitor_report_config *report)
{
	const struct source_config *source = &run->config.source;
	struct guarding_config config = {
		.source = source, .image = &run->judge.image, .policy = &run->judge.policy, .response = report->response,
		.dry_run = report->dry_run, .view = report->view, .sites = &run->judge.sites,
	};
	enum syscall_arch arch = run->judge.image.header->arch;
	int r;

	if (!guarding_serves(source) || run->config.log || (arch != ARCH_UNKNOWN && arch != arch_native()))
		return 0;
	r = guarding_open(&run->guarding, &config, run->err);
	if (!r)
		return 1;
	/* Not the target's fault: another sensor may do. */
	if (r == -EPERM || r == -EACCES || r == -ENOSYS || r == -EOPNOTSUPP)
		return 0;
	return r;
}

static int open_source(struct run *run, struct monitor_report_config *report)
{
	int r = open_guard(run, report);

	if (r > 0) {
		source_describe(&run->source, &run->config.source);
		run->source.sensor_name = "driver";
		snprintf(run->source.title + strlen(run->source.title), sizeof(run->source.title) - strlen(run->source.title), " (driver)");
		/* The kernel answers itself. */
		report->response = RESPONSE_NONE;
		report->stats = guarding_stats;
		report->stats_data = &run->guarding;
		run->guarding.report = &run->report;
		return 0;
	}
	return r < 0 ? r : source_open(&run->source, &run->config.source, run->err);
}

static int run_monitor(struct run *run, const char *profile)
{
	const struct monitor_config *config = &run->config;
	bool log_to_stdout = config->log && !strcmp(config->log, "-");
	struct errmsg warning;
	char losses[256], log[PATH_MAX];
	struct monitor_report_config report = {
		.profile_path = profile, .trace_path = config->source.trace,
		.command = config->command, .command_once = config->once,
		.image = &run->judge.image, .policy = &run->judge.policy, .dry_run = config->dry_run, .json = config->json,
		.quiet = config->quiet, .brief = config->brief, .silent_stdout = config->json || config->quiet || log_to_stdout,
		.live = !config->source.trace, .title = run->source.title, .record = run->source.record,
		.messages = &run->messages,
	};
	int r = check_config(run, &report.response);

	if (!r)
		r = judge_load(&run->judge, profile, &config->judge, run->err);
	if (!r)
		r = take_over_signals(run);
	if (r < 0)
		return r;
	report.profile = profile_info(run->judge.profile);
	/* A command that we start shares the terminal; a live view would write over what it says. */
	report.view = report.live && !config->source.targets.command && !report.silent_stdout && !config->plain && live_view_possible();
	r = open_source(run, &report);
	if (r >= 0 && config->source.trace)
		r = check_arch(run, run->source.sensors[0]);
	if (r < 0)
		return r;
	service_command_open(&run->command, run->guarding.guard ? guarding_command(&run->guarding) : source_command(&run->source));
	if (config->log) {
		r = targets_file_name(&config->source.targets, run->command.pid, config->log, log, run->err);
		if (r < 0)
			return r;
		report.log_path = log;
	}
	if (config->source.targets.command)
		service_hand_over(&run->messages, !run->connection);
	if (!report.quiet && !run->messages.syslog)
		print_start(run, profile);
	if (config->log)
		r = open_log_pipe(run, &report.log_pipe);
	if (r >= 0)
		r = monitor_report_init(&run->report, &report, run->err);
	if (r < 0)
		return r;
	set_alarm_clock(run, true);
	r = monitor_source(run);
	set_alarm_clock(run, false);
	monitor_report_leave(&run->report);
	if (run->guarding.guard && guarding_losses(&run->guarding, losses, sizeof(losses)) && !report.quiet) {
		errmsg_set(&warning, 0, NULL, 0, "%s", losses);
		monitor_report_message(&run->report, &warning);
	}
	let_signals_end_us(run);
	monitor_report_finish(&run->report, run->reason);
	return r;
}

static int verb_monitor_run(int argc, char **argv)
{
	struct errmsg err = { 0 };
	struct run run = { .err = &err, .signals = -1, .command.pidfd = -1, .report.hook.pidfd = -1 };
	char **command = targets_split_command(&argc, argv);
	int rest = 0, r;

	run.connection = command && service_has_connection();
	messages_open(&run.messages, argv[0], false);
	run.config.source.targets.command = command;
	sigprocmask(SIG_SETMASK, NULL, &run.mask);
	r = options_parse(&verb_monitor, argc, argv, &run.config, false, &rest, &err);
	if (r > 0)
		return EXIT_OK;
	if (!r && (rest == argc || argc - rest > 2))
		r = errmsg_set(&err, -EINVAL, NULL, 0, rest == argc ? "which profile? try 'imsafe monitor --help'" :
			       "one profile and at most one trace, please");
	if (!r) {
		run.config.source.trace = rest + 1 < argc ? argv[rest + 1] : NULL;
		r = run_monitor(&run, argv[rest]);
	}
	monitor_report_done(&run.report);
	if (r < 0)
		messages_error(&run.messages, &err);
	/* A service that cannot be watched runs all the same. */
	if (r < 0 && run.connection && !run.source.n && !run.guarding.guard)
		return service_run_unwatched(&run.messages, command, &run.mask);
	source_close(&run.source);
	guarding_close(&run.guarding);
	if (r < 0 && r != -EINTR)
		service_wait(run.command.pid);
	free(run.judged);
	judge_done(&run.judge);
	closep(&run.signals);
	service_command_close(&run.command);
	return r < 0 || run.report.trouble ? EXIT_ERROR : run.report.alarms ? EXIT_ALARM : EXIT_OK;
}
