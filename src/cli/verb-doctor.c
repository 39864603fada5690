/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* imsafe doctor: what this machine allows; every sensor is tried for real. */
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>

#include "cli/json.h"
#include "cli/layout.h"
#include "cli/verbs.h"
#include "sensor/driver-check.h"
#ifdef HAVE_EBPF
#include "sensor/guard.h"
#endif
#include "sensor/sensor.h"

struct doctor_config {
	bool json;
};

static const struct option_spec options[] = {
	OPTION_FLAG(0, "json", struct doctor_config, json, "print JSON"),
	OPTION_END
};

static int verb_doctor_run(int argc, char **argv);

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "what this machine allows, what does not work, and what to do",
	.synopsis = "[OPTIONS]",
	.description = "Looks at the kernel and at the privileges of whoever asks, and tries every sensor for real, on a harmless\n"
		       "command. Says what works, what does not, why, and what to do about it. The exit status is 0 if at least one\n"
		       "sensor for live calls works, else 1.",
	.examples = "  imsafe doctor          for you as you are\n"
		    "  sudo imsafe doctor     for root\n"
		    "  imsafe doctor --json   for a program\n",
	.options = options,
	.run = verb_doctor_run,
};

/* One thing that was looked at. */
struct finding {
	const char *group, *name;
	bool good, must; /* must: without it something named in the text does not work */
	char text[640];  /* from the kernel or our own; escaped where shown */
};

#define FINDINGS_MAX 24
#define ADVICE_MAX   8
#define TEXT_COLUMN  24 /* where a finding's text begins */

struct doctor {
	struct finding findings[FINDINGS_MAX];
	size_t n;
	const char *advice[ADVICE_MAX];
	size_t n_advice;
	struct driver_check check;
	bool live; /* a sensor for live calls works */
	bool ill;  /* something does not work */
};

__attribute__((format(printf, 6, 7))) static void find(struct doctor *doctor, const char *group, const char *name, bool good,
							bool must, const char *format, ...)
{
	struct finding *finding = &doctor->findings[doctor->n];
	va_list args;

	doctor->ill |= must && !good;
	if (doctor->n == FINDINGS_MAX)
		return;
	doctor->n++;
	*finding = (struct finding){ .group = group, .name = name, .good = good, .must = must };
	va_start(args, format);
	vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
}

static void advise(struct doctor *doctor, const char *text)
{
	if (doctor->n_advice < ADVICE_MAX)
		doctor->advice[doctor->n_advice++] = text;
}

static int read_number(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	int number;

	return file && fscanf(file, "%d", &number) == 1 ? number : -1;
}

static void look_at_kernel(struct doctor *doctor)
{
	const struct driver_check *check = &doctor->check;

	find(doctor, "kernel", "version", check->kernel, true, "%s: %s", check->release,
	     check->find_vma ? "new enough for the driver (--sensor=ebpf)" :
	     check->kernel   ? "the driver (--sensor=ebpf) can record; to see where calls come from and to score it needs " DRIVER_KERNEL_FULL :
			       "the driver (--sensor=ebpf) needs " DRIVER_KERNELS);
	find(doctor, "kernel", "types", check->btf, true, "%s",
	     check->btf ? "the kernel describes its types (BTF)" :
			  "no /sys/kernel/btf/vmlinux: the driver needs a kernel built with CONFIG_DEBUG_INFO_BTF");
	if (check->confidentiality)
		find(doctor, "kernel", "lockdown", false, true,
		     "locked down for confidentiality: the driver may not read the kernel; ptrace is not affected");
	if (check->preempts)
		find(doctor, "kernel", "tracefs", check->tracefs, false, "%s",
		     check->tracefs ? "can be read, so this kernel interrupts none of the driver's programs" :
				      "cannot be read: this kernel may interrupt the driver's programs, and what others call on that CPU meanwhile "
				      "is missed, and counted");
	find(doctor, "kernel", "cgroups", *check->cgroup2, false, "%s%s",
	     *check->cgroup2 ? "units and cgroups can be watched: unified hierarchy at " :
			       "no unified hierarchy (cgroup2): units and cgroups cannot be watched; programs and processes can",
	     check->cgroup2);
	if (check->pid_namespace)
		find(doctor, "kernel", "namespace", false, true,
		     "this is a container's PID namespace: the driver works only in the machine's own");
}

static void look_at_privileges(struct doctor *doctor)
{
	const struct driver_check *check = &doctor->check;
	bool ptrace = check->cap_ptrace;
	int scope = read_number("/proc/sys/kernel/yama/ptrace_scope");

	find(doctor, "privileges", "CAP_BPF", check->cap_bpf, false, "%s", check->cap_bpf ? "yes" : "no: needed for the driver");
	find(doctor, "privileges", "CAP_PERFMON", check->cap_perfmon, false, "%s",
	     check->cap_perfmon ? "yes" : "no: needed for the driver");
	find(doctor, "privileges", "CAP_SYS_PTRACE", ptrace, false, "%s",
	     ptrace ? "yes: processes of other users can be traced and named" :
		      "no: ptrace reaches your own processes only; the driver works without, but cannot name the files of others'");
	if (scope < 0 || scope == 0)
		find(doctor, "privileges", "ptrace scope", true, false, "any process of yours can be attached to");
	else if (scope == 1)
		find(doctor, "privileges", "ptrace scope", ptrace, false,
		     "1: without CAP_SYS_PTRACE, commands can be traced (--), but running processes cannot be attached to (-p)");
	else
		find(doctor, "privileges", "ptrace scope", scope == 2 && ptrace, false, "%d: %s", scope,
		     scope == 2 ? "only with CAP_SYS_PTRACE" : "nobody may trace anybody, until the machine is started again");
}

struct trial {
	uint64_t calls, from_files, gaps;
	bool ended;
};

static int count_events(void *data, const struct event *events, size_t n)
{
	struct trial *trial = data;

	for (size_t i = 0; i < n; i++) {
		trial->calls += events[i].kind == EVENT_CALL;
		trial->from_files += events[i].kind == EVENT_CALL && EVENT_ORIGIN(events[i].origin) == ORIGIN_FILE;
		trial->gaps += events[i].kind == EVENT_GAP;
		trial->ended |= events[i].kind == EVENT_EXIT;
	}
	return 0;
}

static void try_sensor(struct doctor *doctor, const struct sensor_ops *ops)
{
	char *const argv[] = { (char *)"true", NULL };
	const struct target target = { .kind = TARGET_COMMAND, .argv = argv };
	const struct sensor_config config = {
		.targets = &target, .n_targets = 1, .follow_fork = true, .follow_exec = true, .origins = true,
	};
	struct errmsg err = { 0 };
	struct sensor *sensor = NULL;
	struct trial trial = { 0 };
	int r = ops->open(&config, &sensor, &err);

	for (int i = 0; r >= 0 && i < 1000; i++) {
		struct pollfd ready = { .fd = ops->fd(sensor), .events = POLLIN };

		poll(&ready, 1, 100);
		r = ops->dispatch(sensor, count_events, &trial, &err);
		if (r == 0)
			break;
	}
	sensor_close(sensor);
	if (r < 0) {
		find(doctor, "sensors", ops->name, false, true, "%s", err.text);
		return;
	}
	if (r > 0 || !trial.calls || !trial.ended || trial.gaps) {
		find(doctor, "sensors", ops->name, false, true, "opens, but saw %llu calls of 'true', %llu gaps%s: please report this",
		     (unsigned long long)trial.calls, (unsigned long long)trial.gaps, trial.ended ? "" : " and no end");
		return;
	}
	doctor->live = true;
	find(doctor, "sensors", ops->name, true, true, "works: %llu calls of 'true' seen, %llu of them from files' code%s%s",
	     (unsigned long long)trial.calls, (unsigned long long)trial.from_files, *err.text ? "; " : "", err.text);
}

#ifdef HAVE_EBPF
/* The driver's other half: profiles are scored where the calls are made. */
static void try_scoring(struct doctor *doctor)
{
	struct errmsg err = { 0 };
	struct guard *guard = NULL;

	if (guard_open(&guard, &err) < 0)
		find(doctor, "sensors", "ebpf, scoring", false, true, "%s", err.text);
	else
		find(doctor, "sensors", "ebpf, scoring", true, true, "works: the driver can score profiles in the kernel");
	guard_close(guard);
}
#endif

static void try_sensors(struct doctor *doctor)
{
	struct sigaction ignore = { .sa_handler = SIG_DFL }, before;

	sigaction(SIGCHLD, &ignore, &before);
#ifndef HAVE_EBPF
	find(doctor, "sensors", "ebpf", false, true, "not in this build (it was built without libbpf, clang or bpftool)");
#endif
	for (const struct sensor_ops *const *ops = sensor_registry(); *ops; ops++) {
		if (*ops != &sensor_replay)
			try_sensor(doctor, *ops);
#ifdef HAVE_EBPF
		if (*ops == &sensor_ebpf)
			try_scoring(doctor);
#endif
	}
	sigaction(SIGCHLD, &before, NULL);
}

static void think(struct doctor *doctor)
{
	const struct driver_check *check = &doctor->check;

	if (!check->cap_bpf || !check->cap_perfmon)
		advise(doctor, "For the driver (--sensor=ebpf), run as root, or give the program its privileges:\n"
			       "sudo setcap cap_bpf,cap_perfmon,cap_sys_ptrace+ep \"$(command -v imsafe)\"");
	if (!check->kernel || !check->btf)
		advise(doctor, "For the driver (--sensor=ebpf), use a kernel of your distribution of " DRIVER_KERNEL_FULL " or newer; "
			       "until then --sensor=ptrace does the same, slower.");
	if (check->pid_namespace)
		advise(doctor, "For the driver (--sensor=ebpf), run on the machine itself; inside the container use --sensor=ptrace.");
	if (check->preempts && !check->tracefs)
		advise(doctor, "For the driver to miss nothing on this kernel, let it read tracefs; run as root, or, for a group of yours:\n"
			       "sudo mount -o remount,gid=GROUP,mode=750 /sys/kernel/tracing");
	if (doctor->ill && !doctor->n_advice && doctor->live)
		advise(doctor, "What is marked NO does not work here, for the reason beside it; --sensor=ptrace does the same, slower.");
	if (!doctor->live)
		advise(doctor, "No live calls can be seen here. Traces recorded elsewhere can be learned, monitored and plotted.");
}

/* What stands in a second line is a command to be pasted: that one stays whole. */
static void print_advice(const char *advice)
{
	size_t n = strcspn(advice, "\n");

	layout_printf(stdout, 0, "%.*s", (int)n, advice);
	if (advice[n])
		printf("  %s\n", advice + n + 1);
}

static void print_text(const struct doctor *doctor)
{
	char text[2 * sizeof(doctor->findings[0].text)];
	const char *group = "";

	for (size_t i = 0; i < doctor->n; i++) {
		const struct finding *finding = &doctor->findings[i];

		if (strcmp(group, finding->group))
			printf("%s%s\n", *group ? "\n" : "", finding->group);
		group = finding->group;
		layout_printf(stdout, TEXT_COLUMN - 2, "  %-4s %-16s %s\n", finding->good ? "ok" : finding->must ? "NO" : "-", finding->name,
		       escape_text(text, sizeof(text), finding->text));
	}
	printf("\n");
	for (size_t i = 0; i < doctor->n_advice; i++)
		print_advice(doctor->advice[i]);
	if (!doctor->n_advice)
		layout_print("All is well: the driver (--sensor=ebpf) is used wherever no other sensor is named.", 0, stdout);
}

static void print_json(const struct doctor *doctor)
{
	json_t *root = json_object(), *advice = json_array();

	for (size_t i = 0; i < doctor->n; i++) {
		const struct finding *finding = &doctor->findings[i];
		json_t *group = json_object_get(root, finding->group);
		char text[2 * sizeof(finding->text)];

		if (!group) {
			group = json_object();
			json_object_set_new(root, finding->group, group);
		}
		json_object_set_new(group, finding->name,
				    json_pack("{s:b, s:s}", "ok", finding->good, "text",
					      escape_text(text, sizeof(text), finding->text)));
	}
	for (size_t i = 0; i < doctor->n_advice; i++)
		json_array_append_new(advice, json_string(doctor->advice[i]));
	json_object_set_new(root, "advice", advice);
	json_object_set_new(root, "live", json_boolean(doctor->live));
	json_print(root);
}

static int verb_doctor_run(int argc, char **argv)
{
	struct doctor_config config = { .json = false };
	struct doctor doctor = { .n = 0 };
	struct errmsg err = { 0 };
	int rest, r = options_parse(&verb_doctor, argc, argv, &config, false, &rest, &err);

	if (r > 0)
		return EXIT_OK;
	if (r >= 0 && rest < argc)
		r = errmsg_set(&err, -EINVAL, NULL, 0, "doctor takes no argument");
	if (r < 0) {
		errmsg_print(&err, stderr, argv[0]);
		return EXIT_ERROR;
	}
	driver_check(&doctor.check);
	look_at_kernel(&doctor);
	look_at_privileges(&doctor);
	try_sensors(&doctor);
	think(&doctor);
	(config.json ? print_json : print_text)(&doctor);
	return doctor.live ? EXIT_OK : EXIT_ALARM;
}
