/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recording sensor of the driver: record.bpf.c behind the interface of all sensors. */
#include <bpf/bpf.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "sensor/command.h"
#include "sensor/driver.h"
#include "sensor/mapping.h"
#include "sensor/origin.h"
#include "sensor/rings.h"
#include "sensor/sensor.h"

#include "record.skel.h" /* after the types that it uses */

#define POLL_NS      4000000L     /* rings are looked at this often: nothing in the kernel wakes us */
#define RINGS_TOTAL  (64UL << 20) /* bytes, all CPUs together */
#define RING_MIN     (512UL << 10)
#define RING_MAX     (16UL << 20)
#define BATCH        1024
#define NO_MODULE    UINT32_MAX   /* asked for, and there is no room for it */
#define DISPATCH_MAX (1UL << 20)  /* events, so that a flood does not keep the caller from its other work */

struct ebpf {
	struct sensor sensor;
	struct driver driver;
	struct record_bpf *bpf;
	struct rings rings;
	const struct target *command; /* while it is held */
	struct command held;
	struct sensor_stats stats;
	bool endless;          /* waits for processes not yet started */
	bool reaped;
	bool sites;
	bool compat;           /* a program of the other width: those are its own calls, and native ones are foreign to it */
	int timer;
	char application[PATH_MAX];
	char build_id[41];
	uint32_t *module;      /* the kernel side's numbers to those of sensor.modules; 0: not asked for yet */
	struct thread_table *processes; /* struct driver_process *, by process id; NULL: nobody asks */
	uint64_t told_calls, told_exits, told_refused, told_misses;
	unsigned ticks;
	struct seeded *seeded;
	size_t n_seeded, seeded_size;
	sensor_event_fn *fn;   /* while dispatching */
	void *data;
	size_t n;
	struct event batch[BATCH];
};

static size_t ring_size(unsigned cpus)
{
	size_t size = RING_MAX;

	while (size > RING_MIN && size * cpus > RINGS_TOTAL)
		size /= 2;
	return size;
}

static int new_ring(size_t size)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring", 0, 0, (uint32_t)size, NULL);

	return fd < 0 ? -errno : fd;
}

static int open_rings(struct ebpf *e, unsigned cpus, size_t size, struct errmsg *err)
{
	int outer = bpf_map__fd(e->bpf->maps.rings), r = rings_open(&e->rings, cpus);

	for (unsigned i = 0; !r && i < cpus; i++) {
		_cleanup_close_ int fd = new_ring(size);

		if (fd < 0)
			r = fd;
		else if (bpf_map_update_elem(outer, &i, &fd, BPF_ANY) < 0)
			r = -errno;
		else
			r = rings_map(&e->rings, i, fd, size);
	}
	return r < 0 ? errmsg_errno(err, r, NULL, "cannot make the recording's rings") : 0;
}

static int load(struct ebpf *e, const struct sensor_config *config, struct errmsg *err)
{
	int cpus = libbpf_num_possible_cpus(), r;
	size_t size = ring_size((unsigned)MAX(cpus, 1));
	_cleanup_close_ int pattern = new_ring(size);

	if (pattern == -EPERM)
		return driver_forbidden(err);
	if (cpus < 1 || pattern < 0)
		return errmsg_errno(err, MIN(cpus, pattern), NULL, "cannot make the recording's rings");
	e->bpf = record_bpf__open();
	if (!e->bpf)
		return errmsg_errno(err, -errno, NULL, "cannot open the driver's program");
	e->bpf->rodata->page_shift = driver_page_shift();
	e->bpf->rodata->config.times = config->times;
	e->bpf->rodata->config.processes = config->processes;
	e->bpf->rodata->config.origins = config->origins && e->driver.check.find_vma;
	e->bpf->rodata->config.sites = config->sites && e->driver.check.find_vma;
	r = bpf_map__set_max_entries(e->bpf->maps.rings, (uint32_t)cpus);
	if (!r)
		r = bpf_map__set_inner_map_fd(e->bpf->maps.rings, pattern);
	if (r)
		return errmsg_errno(err, r, NULL, "cannot size the recording's rings");
	r = driver_load(&e->driver, e->bpf->skeleton, err);
	if (r >= 0)
		r = open_rings(e, (unsigned)cpus, size, err);
	if (r >= 0)
		r = driver_attach(&e->driver, &e->bpf->bss->shared, err);
	return r;
}

static void set_application(struct ebpf *e)
{
	e->sensor.info.application = e->application;
	e->sensor.info.build_id = *e->build_id ? e->build_id : NULL;
}

static void set_arch(struct ebpf *e, enum syscall_arch arch)
{
	e->sensor.info.arch = arch;
	e->compat = arch != arch_native();
}

static void name_file(struct ebpf *e, const char *path)
{
	set_arch(e, executable_arch(path));
	if (!realpath(path, e->application))
		snprintf(e->application, sizeof(e->application), "%s", path);
	if (build_id_read(path, e->build_id) < 0)
		*e->build_id = '\0';
	set_application(e);
}

/* A process that was there before us. */
static void name_process(struct ebpf *e, pid_t pid)
{
	char path[64];

	if (executable_path(pid, e->application, sizeof(e->application)) < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	set_arch(e, executable_arch(path));
	executable_build_id(pid, e->build_id);
	set_application(e);
}

/* With the first event of a program that the kernel side saw begin: the process itself may be gone. */
static void name_first(struct ebpf *e, pid_t pid)
{
	struct driver_process *first = &e->bpf->bss->first;
	struct process_info info;

	if (!__atomic_load_n(&first->pid, __ATOMIC_ACQUIRE)) {
		name_process(e, pid);
		return;
	}
	if (first->compat)
		set_arch(e, arch_native() == ARCH_X86_64 ? ARCH_I386 : ARCH_UNKNOWN);
	first->deleted = 0; /* no part of a program's name */
	driver_process_info(&e->driver, first, &info);
	if (!*info.exe)
		return;
	snprintf(e->application, sizeof(e->application), "%s", info.exe);
	memcpy(e->build_id, info.build_id, sizeof(e->build_id));
	set_application(e);
}

static int flush(struct ebpf *e)
{
	int r = e->n ? e->fn(e->data, e->batch, e->n) : 0;

	e->n = 0;
	return r < 0 ? r : 0;
}

/* A file that we have mapped, too: the dynamic linker and the C library, mostly. */
static bool find_among_ours(const struct driver_file *file, struct mapping *ret_mapping)
{
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	char line[PATH_MAX + 256];

	while (maps && fgets(line, sizeof(line), maps)) {
		unsigned major, minor;
		unsigned long long inode;
		int at = 0;

		if (sscanf(line, "%*s %*s %*s %x:%x %llu %n", &major, &minor, &inode, &at) < 3 || !at || line[at] != '/' ||
		    inode != file->inode || (major << 20 | minor) != file->device)
			continue;
		line[strcspn(line, "\n")] = '\0';
		*ret_mapping = (struct mapping){ .inode = inode, .device_major = major, .device_minor = minor };
		snprintf(ret_mapping->name, sizeof(ret_mapping->name), "%s", line + at);
		return true;
	}
	return false;
}

/*
 * Where a file that calls came from has its name: among the mappings of the process that was first seen in it. If that has
 * ended already, the file may still be the application's own, or one that we have mapped.
 */
static int find_module(struct ebpf *e, const struct driver_module *module, const struct driver_file *file)
{
	struct mapping mapping = { .name = "?" };
	char build_id[41] = "";
	struct stat st;

	if (!mapping_find((pid_t)module->pid, module->start, &mapping) && mapping_has_file(&mapping)) {
		mapping_build_id(&mapping, (pid_t)module->pid, build_id);
	} else if (*e->application && !stat(e->application, &st) && st.st_ino == file->inode) {
		mapping = (struct mapping){ .inode = st.st_ino, .device_major = major(st.st_dev), .device_minor = minor(st.st_dev) };
		snprintf(mapping.name, sizeof(mapping.name), "%s", e->application);
		build_id_read(mapping.name, build_id);
	} else if (find_among_ours(file, &mapping)) {
		mapping_build_id(&mapping, getpid(), build_id);
	} else {
		mapping = (struct mapping){ .name = "?" };
	}
	return modules_add(&e->sensor.modules, mapping.name, build_id,
			   makedev(mapping.device_major, mapping.device_minor), mapping.inode);
}

static int find_modules(struct ebpf *e)
{
	int map = bpf_map__fd(e->bpf->maps.modules);
	struct driver_file file, *last = NULL, next;
	struct driver_module module;

	while (!bpf_map_get_next_key(map, last, &next)) {
		file = next;
		last = &file;
		if (bpf_map_lookup_elem(map, &file, &module) || module.index > DRIVER_MODULES_MAX || e->module[module.index])
			continue;
		int index = find_module(e, &module, &file);

		if (index == -ENOMEM)
			return index;
		e->module[module.index] = index > 0 ? (uint32_t)index : NO_MODULE;
	}
	return 0;
}

static int translate_site(struct ebpf *e, struct event *event)
{
	uint32_t module = SITE_MODULE(event->site);

	if (!module || module > DRIVER_MODULES_MAX)
		return 0;
	if (!e->module[module]) {
		int r = find_modules(e);

		if (r < 0)
			return r;
	}
	event->site = e->module[module] && e->module[module] != NO_MODULE ? SITE(e->module[module], SITE_OFFSET(event->site)) : 0;
	return 0;
}

/* By which door a call came in is told relative to the program. */
static void turn_doors(struct event *call)
{
	uint8_t abi = EVENT_ABI(call->origin);

	if (abi == ABI_X32)
		call->call = CALL_INVALID;
	call->origin = EVENT_FROM(EVENT_ORIGIN(call->origin), abi == ABI_COMPAT ? ABI_NATIVE : ABI_COMPAT);
}

/* Who a process is changes with the events: those before are delivered first. */
static int forget_process(struct ebpf *e, uint32_t pid)
{
	struct driver_process **known = thread_table_find(e->processes, pid);
	int r = known ? flush(e) : 0;

	if (known) {
		free(*known);
		thread_table_remove(e->processes, pid);
	}
	return r;
}

static int know_process(struct ebpf *e, const struct driver_process *process)
{
	struct driver_process **known;
	bool is_new;
	int r = flush(e);

	known = thread_table_get(e->processes, process->pid, &is_new);
	if (!known)
		return -ENOMEM;
	if (is_new)
		*known = malloc(sizeof(**known));
	if (*known)
		**known = *process;
	else
		thread_table_remove(e->processes, process->pid);
	return r;
}

static bool ebpf_process(struct sensor *sensor, pid_t pid, struct process_info *ret_info)
{
	struct ebpf *e = (struct ebpf *)sensor;
	struct driver_process **known = e->processes ? thread_table_find(e->processes, (uint32_t)pid) : NULL;

	if (!known)
		return false;
	driver_process_info(&e->driver, *known, ret_info);
	ret_info->early = true;
	return true;
}

static void free_process(void *data, uint32_t pid, void *record)
{
	free(*(struct driver_process **)record);
}

static int add_one(struct ebpf *e, const struct event *event)
{
	struct event *slot;

	if (e->processes && event->kind != EVENT_CALL && event->kind != EVENT_GAP) {
		int r = forget_process(e, event->tid);

		if (r < 0)
			return r;
	}
	slot = &e->batch[e->n++];
	*slot = *event;
	if (event->kind == EVENT_CALL) {
		e->stats.calls++;
		if (e->compat)
			turn_doors(slot);
		e->stats.unknown_origins += EVENT_ORIGIN(event->origin) == ORIGIN_UNKNOWN;
		if (e->sites && translate_site(e, slot) < 0)
			return -ENOMEM;
	} else if (event->kind == EVENT_GAP) {
		e->stats.lost += event->lost;
	} else if (!*e->application && event->kind != EVENT_EXIT) {
		name_first(e, (pid_t)event->tid);
	}
	return e->n == BATCH ? flush(e) : 0;
}

/* What a thread had lost, when there was no room to say so at its end. 1: there was something. */
static int tell_unsaid(struct ebpf *e, uint32_t tid, uint32_t say_tid)
{
	struct event gap = { .kind = EVENT_GAP, .tid = say_tid };
	int map = bpf_map__fd(e->bpf->maps.unsaid), r = 0;
	uint64_t lost;

	if (bpf_map_lookup_elem(map, &tid, &lost) < 0)
		return 0;
	bpf_map_delete_elem(map, &tid);
	gap.lost = lost;
	if (lost)
		r = add_one(e, &gap);
	return r < 0 ? r : 1;
}

static int add_event(void *data, const struct event *event)
{
	struct ebpf *e = data;

	if (event->kind == RECORD_PROCESS)
		return e->processes ? know_process(e, (const struct driver_process *)(event + 1)) : 0;
	if (event->kind == EVENT_EXIT && e->bpf->bss->shared.lost_exits != e->told_exits) {
		int r = tell_unsaid(e, event->tid, event->tid);

		if (r < 0)
			return r;
	}
	return add_one(e, event);
}

/* A thread that was there before us: its ATTACH is delivered before anything from the rings. */
static int add_seeded(void *data, const struct seeded *seeded)
{
	struct ebpf *e = data;

	if (e->n_seeded == e->seeded_size) {
		size_t size = MAX(2 * e->seeded_size, (size_t)64);
		struct seeded *bigger = realloc(e->seeded, size * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		e->seeded = bigger;
		e->seeded_size = size;
	}
	e->seeded[e->n_seeded++] = *seeded;
	return rings_know(&e->rings, seeded->tid);
}

static int tell_seeded(struct ebpf *e)
{
	int r = 0;

	for (size_t i = 0; i < e->n_seeded && r >= 0; i++) {
		struct event attach = { .kind = EVENT_ATTACH, .tid = e->seeded[i].tid, .pid = e->seeded[i].pid };

		r = add_event(e, &attach);
	}
	e->n_seeded = 0;
	return r;
}

static int start_targets(struct ebpf *e, const struct sensor_config *config, struct errmsg *err)
{
	int r = driver_set_follow(&e->driver, 1, config->targets, config->n_targets, config->follow_fork, config->follow_exec);

	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot set up the driver");
	for (size_t i = 0; i < config->n_targets; i++) {
		const struct target *target = &config->targets[i];

		r = driver_add_target(&e->driver, 1, target, err);
		if (r < 0)
			return r;
		if (target->kind == TARGET_EXE && !*e->application)
			name_file(e, target->name);
	}
	for (size_t i = 0; i < config->n_targets; i++) {
		const struct target *target = &config->targets[i];

		switch (target->kind) {
		case TARGET_PID:
			r = driver_follow_process(&e->driver, 1, target->pid, PENDING_PROCESS, add_seeded, e, err);
			if (r < 0)
				return r;
			if (!*e->application)
				name_process(e, target->pid);
			break;
		case TARGET_COMMAND:
			if (e->command)
				return errmsg_set(err, -EINVAL, NULL, 0, "one command at a time");
			r = command_start(target, &e->held, err);
			if (r < 0)
				return r;
			e->command = target;
			r = driver_seed(&e->driver, SEED_COMMAND, 1, e->held.pid, 0, NULL, NULL);
			if (r < 1)
				return errmsg_errno(err, r < 0 ? r : -ESRCH, target->argv[0], "cannot follow the command");
			break;
		default:
			e->endless = true;
		}
	}
	if (e->endless)
		r = driver_seed(&e->driver, SEED_MATCHING, 1, 0, PENDING_PROCESS, add_seeded, e);
	if (r >= 0)
		r = driver_adopt(&e->driver, PENDING_PROCESS, add_seeded, e);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot follow the processes that are running");
	return 0;
}

static void ebpf_close(struct sensor *sensor)
{
	struct ebpf *e = (struct ebpf *)sensor;

	record_bpf__destroy(e->bpf);
	driver_done(&e->driver);
	if (e->command)
		command_kill(&e->held);
	rings_close(&e->rings);
	modules_done(&e->sensor.modules);
	if (e->processes)
		thread_table_each(e->processes, free_process, NULL);
	thread_table_free(e->processes);
	closep(&e->timer);
	free(e->seeded);
	free(e->module);
	free(e);
}

/* Everything is in place: the command may run. If it can't, its process ends by itself. */
static int let_go(struct ebpf *e, struct errmsg *err)
{
	int r = command_go(&e->held);

	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot start the command");
	r = command_result(&e->held, e->command, err);
	if (r < 0)
		return r;
	command_done(&e->held);
	e->command = NULL;
	e->sensor.command = e->held.pid;
	return 0;
}

/* The command is a child of ours. */
static void reap(struct ebpf *e, bool wait)
{
	pid_t pid;
	int status;

	if (!e->sensor.command || e->reaped)
		return;
	do
		pid = waitpid(e->sensor.command, &status, wait ? 0 : WNOHANG);
	while (pid < 0 && errno == EINTR);
	e->reaped = pid != 0;
	if (pid > 0)
		e->sensor.exit_status = status;
}

static int ebpf_open(const struct sensor_config *config, struct sensor **ret_sensor, struct errmsg *err)
{
	const struct itimerspec every = { { 0, POLL_NS }, { 0, POLL_NS } };
	struct ebpf *e = calloc(1, sizeof(*e));
	struct timespec now;
	bool lacking;
	int r;

	if (!e)
		return errmsg_errno(err, -ENOMEM, NULL, "no memory");
	e->sensor.ops = &sensor_ebpf;
	e->sensor.info = (struct sensor_info){ .name = "ebpf", .arch = arch_native() };
	modules_init(&e->sensor.modules);
	e->sensor.exit_status = -1;
	e->sites = config->sites;
	e->module = calloc(DRIVER_MODULES_MAX + 1, sizeof(*e->module));
	e->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (config->processes)
		e->processes = thread_table_new(sizeof(struct driver_process *));
	if (!e->module || (config->processes && !e->processes) || e->timer < 0 || timerfd_settime(e->timer, 0, &every, NULL) < 0)
		r = errmsg_errno(err, -ENOMEM, NULL, "cannot set up the driver");
	else
		r = driver_init(&e->driver, err);
	lacking = r >= 0 && config->origins && !e->driver.check.find_vma;
	if (lacking)
		errmsg_set(err, 0, NULL, 0, "where calls come from can be seen from Linux " DRIVER_KERNEL_FULL " on; this is %s",
			   e->driver.check.release);
	if (lacking && config->insist)
		r = -ENOSYS;
	if (r >= 0)
		r = load(e, config, err);
	if (r >= 0)
		r = start_targets(e, config, err);
	if (r >= 0 && e->command)
		r = let_go(e, err);
	if (r < 0) {
		ebpf_close(&e->sensor);
		return r;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	e->sensor.info.start = now.tv_sec;
	*ret_sensor = &e->sensor;
	return 0;
}

static int ebpf_fd(struct sensor *sensor)
{
	return ((struct ebpf *)sensor)->timer;
}

/* Ends that found no room in a ring; everything that is in the rings has been read. */
static int tell_ends(struct ebpf *e)
{
	int map = bpf_map__fd(e->bpf->maps.unsaid), r = 0;
	uint32_t tid;

	/* Each turn takes one out, by telling it. */
	while (r >= 0 && !bpf_map_get_next_key(map, NULL, &tid)) {
		r = rings_end(&e->rings, tid, add_event, e);
		if (r == 0)
			r = tell_unsaid(e, tid, 0); /* not even its beginning was said */
	}
	return r;
}

/* Losses that no thread can tell itself. */
static int tell_gaps(struct ebpf *e, bool ended)
{
	const struct driver_shared *shared = &e->bpf->bss->shared;
	struct event gap = { .kind = EVENT_GAP };
	uint64_t calls = shared->lost_calls, exits = shared->lost_exits, refused = shared->refused;
	uint64_t missed = e->ticks++ % 64 && !ended ? e->told_misses : driver_misses(&e->driver, NULL);
	int r = 0;

	if (exits != e->told_exits)
		r = tell_ends(e);
	if (r >= 0 && (calls != e->told_calls || missed != e->told_misses))
		r = rings_sweep(&e->rings, add_event, e);
	if (r >= 0 && (calls != e->told_calls || missed != e->told_misses || refused != e->told_refused)) {
		gap.lost = calls - e->told_calls + missed - e->told_misses;
		r = add_event(e, &gap);
	}
	e->told_calls = calls;
	e->told_misses = missed;
	e->told_refused = refused;
	e->told_exits = exits;
	return r < 0 ? r : 0;
}

static int ebpf_dispatch(struct sensor *sensor, sensor_event_fn *fn, void *data, struct errmsg *err)
{
	struct ebpf *e = (struct ebpf *)sensor;
	bool ended = !e->endless && !driver_has_threads(&e->driver);
	uint64_t expirations;
	int r;

	if (read(e->timer, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return errmsg_errno(err, -errno, NULL, "cannot wait");
	e->fn = fn;
	e->data = data;
	r = driver_tend(&e->driver);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot follow threads that are new to the application");
	r = tell_seeded(e);
	if (r >= 0)
		r = rings_read(&e->rings, DISPATCH_MAX, add_event, e);
	if (r >= 0 && (size_t)r >= DISPATCH_MAX)
		ended = false;
	else if (r >= 0)
		r = tell_gaps(e, ended);
	if (r >= 0)
		r = flush(e);
	reap(e, ended);
	if (r < 0)
		return r;
	return !ended;
}

static void ebpf_stats(const struct sensor *sensor, struct sensor_stats *ret_stats)
{
	const struct ebpf *e = (const struct ebpf *)sensor;

	*ret_stats = e->stats;
	ret_stats->threads = e->bpf->bss->shared.threads;
}

const struct sensor_ops sensor_ebpf = {
	.name = "ebpf",
	.summary = "the driver: in the kernel, many applications, also ones not yet started (CAP_BPF and CAP_PERFMON)",
	.open = ebpf_open,
	.fd = ebpf_fd,
	.dispatch = ebpf_dispatch,
	.process = ebpf_process,
	.stats = ebpf_stats,
	.close = ebpf_close,
};
