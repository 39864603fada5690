/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The user side of guard.bpf.c. */
#include <bpf/bpf.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "sensor/command.h"
#include "sensor/driver.h"
#include "sensor/guard-abi.h"
#include "sensor/guard.h"
#include "sensor/origin.h"

#include "guard.skel.h" /* after the types that it uses */

_Static_assert(GUARD_APPLICATIONS == DRIVER_APPLICATIONS, "an application more than the kernel side has room for");
_Static_assert(LEVEL_SITES == GUARD_SITES, "the level is the kernel side's");
_Static_assert(GUARD_THREADS_MAX == DRIVER_THREADS_MAX, "the limit is the kernel side's");

#define TICK_NS        50000000L /* commands are waited for, cgroups looked after */
#define TICK_SAMPLE_NS 10000000L /* samples wake nobody */
#define SUMMARY_NS     1000000000L

struct application {
	bool used, endless, ended;
	pid_t command;
	enum syscall_arch arch; /* of its profile */
	int status;
	unsigned missing_modules;
	struct guard_stats last; /* never goes back */
};

struct guard {
	struct driver driver;
	struct guard_bpf *bpf;
	struct ring_buffer *rings;
	struct guarded_application *kernel; /* by number, shared with the kernel side; 0 is not used */
	int timer, epoll;
	uint32_t generation, n_files;
	uint64_t summary_due;
	struct application application[DRIVER_APPLICATIONS + 1];
	const struct guard_callbacks *callbacks; /* while dispatching */
	struct scored_call history[HISTORY_CALLS];
	struct process_info process; /* of the alarm under way */
};

static int set_timer(struct guard *guard)
{
	long ns = TICK_NS;
	struct itimerspec every = { { 0, 0 }, { 0, 0 } };

	for (unsigned i = 1; i <= DRIVER_APPLICATIONS; i++)
		if (guard->application[i].used && guard->kernel[i].sample)
			ns = TICK_SAMPLE_NS;
	every.it_interval.tv_nsec = every.it_value.tv_nsec = ns;
	return timerfd_settime(guard->timer, 0, &every, NULL) < 0 ? -errno : 0;
}

static void on_alarm(struct guard *guard, const struct guard_raised *raised)
{
	const struct guarded *g = &raised->thread;
	unsigned application = g->followed.application;
	const struct guarded_application *kernel = &guard->kernel[application];
	const struct policy *policy = &kernel->policy[kernel->policy[1].generation == g->generation];
	size_t n = MIN(g->counters.calls, (uint64_t)HISTORY_CALLS);
	struct guard_alarm alarm = {
		.application = application - 1,
		.generation = g->generation,
		.tid = g->tid,
		.pid = g->followed.pid,
		.thread_calls = g->counters.calls - 1,
		.time = g->time,
		.signalled = g->signalled,
		.process = &guard->process,
		.history = guard->history,
		.n_history = n,
	};

	for (size_t i = 0; i < n; i++) {
		guard->history[i] = g->history[(g->counters.calls - n + i) & (HISTORY_CALLS - 1)];
		guard->history[i].event.tid = g->tid;
		guard->history[i].event.site &= SITE_OFFSET_MAX; /* SITE(0, address) */
	}
	alarm.flags = guard->history[n - 1].verdict.flags;
	alarm.window = guard->history[n - 1].verdict.window;
	for (unsigned i = 0; i < MEAN_WINDOWS; i++)
		alarm.mean[i] = score_mean(&g->score, policy, i);
	driver_process_info(&guard->driver, &raised->process, &guard->process);
	guard->callbacks->alarm(guard->callbacks->data, &alarm);
}

static bool is_application(const struct guard *guard, uint32_t application)
{
	return application && application <= DRIVER_APPLICATIONS && guard->application[application].used;
}

/* A call as user space has it: its site is an address. */
static struct scored_call sampled_call(const struct guard_sample *sample)
{
	struct scored_call call = sample->call;

	call.event.site &= SITE_OFFSET_MAX;
	return call;
}

static int on_alarms_record(void *data, void *record, size_t size)
{
	struct guard *guard = data;
	const struct guard_closed *closed = record;
	const struct guard_raised *raised = record;
	const struct guard_sample *unforeseen = record;

	if (size == sizeof(*unforeseen)) {
		struct scored_call call = sampled_call(unforeseen);

		if (guard->callbacks->unforeseen && is_application(guard, unforeseen->application))
			guard->callbacks->unforeseen(guard->callbacks->data, unforeseen->application - 1, &call);
	} else if (size == sizeof(*raised)) {
		if (guard->callbacks->alarm && is_application(guard, raised->thread.followed.application))
			on_alarm(guard, raised);
	} else if (guard->callbacks->closed && is_application(guard, closed->application)) {
		guard->callbacks->closed(guard->callbacks->data, closed->application - 1, closed->tid);
	}
	return 0;
}

static int on_sample(void *data, void *record, size_t size)
{
	struct guard *guard = data;
	const struct guard_sample *sample = record;
	struct scored_call call = sample->call;

	if (!guard->callbacks->sample || !is_application(guard, sample->application))
		return 0;
	if (call.event.kind == EVENT_CALL)
		call = sampled_call(sample);
	guard->callbacks->sample(guard->callbacks->data, sample->application - 1, &call);
	return 0;
}

int guard_open(struct guard **ret_guard, struct errmsg *err)
{
	_cleanup_(guard_closep) struct guard *guard = calloc(1, sizeof(*guard));
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	if (!guard)
		return errmsg_errno(err, -ENOMEM, NULL, "cannot set up the driver");
	guard->timer = guard->epoll = -1;
	r = driver_init(&guard->driver, err);
	if (r < 0)
		return r;
	if (!guard->driver.check.find_vma)
		return errmsg_set(err, -ENOSYS, NULL, 0, "scoring in the kernel needs Linux " DRIVER_KERNEL_FULL " or newer; this is %s",
				  guard->driver.check.release);
	guard->bpf = guard_bpf__open();
	if (!guard->bpf)
		return errmsg_errno(err, -errno, NULL, "cannot open the driver's program");
	guard->bpf->rodata->page_shift = driver_page_shift();
	r = driver_load(&guard->driver, guard->bpf->skeleton, err);
	if (r < 0)
		return r;
	guard->kernel = guard->bpf->bss->applications;
	guard->rings = ring_buffer__new(bpf_map__fd(guard->bpf->maps.alarms), on_alarms_record, guard, NULL);
	guard->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	guard->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!guard->rings || guard->timer < 0 || guard->epoll < 0 ||
	    ring_buffer__add(guard->rings, bpf_map__fd(guard->bpf->maps.samples), on_sample, guard) < 0 ||
	    epoll_ctl(guard->epoll, EPOLL_CTL_ADD, guard->timer, &event) < 0 ||
	    epoll_ctl(guard->epoll, EPOLL_CTL_ADD, ring_buffer__epoll_fd(guard->rings), &event) < 0 ||
	    set_timer(guard) < 0)
		return errmsg_errno(err, -errno, NULL, "cannot set up the driver");
	r = driver_attach(&guard->driver, &guard->bpf->bss->shared, err);
	if (r < 0)
		return r;
	guard->summary_due = clock_ns() + SUMMARY_NS;
	*ret_guard = TAKE_PTR(guard);
	return 0;
}

/* Makes the image's map and puts it into a slot, which no running program uses. */
static int put_image(struct guard *guard, unsigned slot, const struct image *image)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	size_t size = (size_t)image->header->cells * sizeof(struct cell);
	_cleanup_close_ int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "image", sizeof(uint32_t), sizeof(struct cell),
						image->header->cells, &options);
	void *cells;

	if (fd < 0)
		return -errno;
	cells = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (cells == MAP_FAILED)
		return -errno;
	memcpy(cells, image->cells, size);
	munmap(cells, size);
	return bpf_map_update_elem(bpf_map__fd(guard->bpf->maps.images), &slot, &fd, BPF_ANY) < 0 ? -errno : 0;
}

/* When this returns, no program uses what was there: taking a map out of a map waits for all that run. */
static void drop_image(struct guard *guard, unsigned slot)
{
	bpf_map_delete_elem(bpf_map__fd(guard->bpf->maps.images), &slot);
}

/* The number of a file; 0: it is not the one that training saw. Numbers are given once. */
static uint32_t number_of_file(struct guard *guard, const struct module *module)
{
	int map = bpf_map__fd(guard->bpf->maps.files);
	struct driver_file file;
	char build_id[41] = "";
	uint32_t number;

	if (build_id_read(module->path, build_id) < 0)
		*build_id = '\0';
	if (strcmp(build_id, module->build_id) || driver_identify(&guard->driver, module->path, &file, NULL) < 0)
		return 0;
	if (!bpf_map_lookup_elem(map, &file, &number))
		return number;
	number = guard->n_files + 1;
	if (bpf_map_update_elem(map, &file, &number, BPF_ANY) < 0)
		return 0;
	return ++guard->n_files;
}

static int put_sites(struct guard *guard, unsigned number, const struct guard_application *application)
{
	unsigned n = application->modules ? application->modules->n : 0;
	_cleanup_free_ uint32_t *files = calloc(n + 1, sizeof(*files));
	int map = bpf_map__fd(guard->bpf->maps.sites);
	const uint32_t unresolved = UINT32_MAX;
	const uint8_t yes = 1;

	if (!files)
		return -ENOMEM;
	memset(files, 0xff, (n + 1) * sizeof(*files));
	for (size_t i = 0; i < application->n_sites; i++) {
		const struct guard_site *site = &application->sites[i];
		struct driver_site key = { .call = site->call, .application = number };

		if (!site->module || site->module >= n)
			continue;
		if (files[site->module] == unresolved) {
			files[site->module] = number_of_file(guard, &application->modules->module[site->module]);
			guard->application[number].missing_modules += !files[site->module];
		}
		if (!files[site->module])
			continue;
		key.place = SITE(files[site->module], site->offset);
		if (bpf_map_update_elem(map, &key, &yes, BPF_ANY) < 0)
			return -errno;
	}
	return 0;
}

static void drop_sites(struct guard *guard, unsigned number)
{
	int map = bpf_map__fd(guard->bpf->maps.sites);
	struct driver_site key, next;
	bool more = !bpf_map_get_next_key(map, NULL, &next);

	while (more) {
		key = next;
		more = !bpf_map_get_next_key(map, &key, &next);
		if (key.application == number)
			bpf_map_delete_elem(map, &key);
	}
}

/* The kernel side scores calls of its own table only. */
static int refuse_width(enum syscall_arch theirs, enum syscall_arch profile, struct errmsg *err)
{
	if (theirs == arch_native())
		return 0;
	if (theirs == profile)
		return errmsg_set(err, -EOPNOTSUPP, NULL, 0, "the driver scores no calls of %s programs in the kernel", arch_name(theirs));
	return errmsg_set(err, -EPROTOTYPE, NULL, 0, "the calls are %s, the profile is %s", arch_name(theirs), arch_name(profile));
}

/* A command shows what it is when it begins. */
static int check_command(const struct guard *guard, struct errmsg *err)
{
	for (unsigned i = 1; i <= DRIVER_APPLICATIONS; i++)
		if (guard->application[i].used && guard->kernel[i].compat && (pid_t)guard->kernel[i].compat == guard->application[i].command)
			return refuse_width(arch_native() == ARCH_X86_64 ? ARCH_I386 : ARCH_UNKNOWN, guard->application[i].arch, err);
	return 0;
}

static int check_target(const struct target *target, enum syscall_arch profile, struct errmsg *err)
{
	char path[64];

	if (target->kind == TARGET_EXE)
		return refuse_width(executable_arch(target->name), profile, err);
	if (target->kind != TARGET_PID)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/exe", target->pid);
	return refuse_width(executable_arch(path), profile, err);
}

static int start_target(struct guard *guard, unsigned number, const struct target *target, struct errmsg *err)
{
	struct application *application = &guard->application[number];
	struct command command;
	int r = check_target(target, application->arch, err);

	if (r < 0)
		return r;
	switch (target->kind) {
	case TARGET_PID:
		r = driver_follow_process(&guard->driver, number, target->pid, PENDING_ATTACH, NULL, NULL, err);
		return MIN(r, 0);
	case TARGET_COMMAND:
		if (application->command)
			return errmsg_set(err, -EINVAL, NULL, 0, "one command for an application");
		r = command_start(target, &command, err);
		if (r < 0)
			return r;
		r = driver_seed(&guard->driver, SEED_COMMAND, number, command.pid, 0, NULL, NULL);
		if (r > 0)
			r = command_go(&command);
		if (r >= 0)
			r = command_result(&command, target, err);
		else
			errmsg_errno(err, r, NULL, "cannot watch the command");
		if (r < 0) {
			command_kill(&command);
			return r;
		}
		command_done(&command);
		application->command = command.pid;
		return 0;
	default:
		application->endless = true;
		return 0;
	}
}

static unsigned free_number(const struct guard *guard)
{
	for (unsigned i = 1; i <= DRIVER_APPLICATIONS; i++)
		if (!guard->application[i].used && guard->kernel[i].started == guard->kernel[i].ended)
			return i;
	return 0;
}

static uint32_t power_of_two(unsigned n)
{
	uint32_t power = 1;

	while (power < n && power < 1U << 30)
		power *= 2;
	return n ? power : 0;
}

int guard_add_application(struct guard *guard, const struct guard_application *application, unsigned *ret_application,
			  struct errmsg *err)
{
	unsigned number = free_number(guard);
	struct guarded_application *kernel = &guard->kernel[number];
	int r;

	if (!number)
		return errmsg_set(err, -ENOSPC, NULL, 0, "the driver watches no more than %d applications", DRIVER_APPLICATIONS);
	if (application->level == GUARD_SITES && !application->n_sites)
		return errmsg_set(err, -EINVAL, NULL, 0, "the profile has no call sites to judge by: learn from traces that have them");
	guard->application[number] = (struct application){ .used = true, .arch = application->image->header->arch };
	*kernel = (struct guarded_application){
		.level = application->level,
		.sample = power_of_two(application->sample),
		.signal = application->signal,
		.dry_run = application->dry_run,
	};
	kernel->policy[0] = *application->policy;
	policy_arm(&kernel->policy[0], application->image->header, ++guard->generation);
	r = put_image(guard, GUARD_SLOT(number, 0), application->image);
	if (r >= 0)
		r = driver_set_follow(&guard->driver, number, application->targets, application->n_targets,
				      application->follow_fork, application->follow_exec);
	if (r < 0)
		errmsg_errno(err, r, NULL, "the kernel does not take the profile's image");
	if (r >= 0 && application->level == GUARD_SITES) {
		r = put_sites(guard, number, application);
		if (r < 0)
			errmsg_errno(err, r, NULL, "the kernel does not take the profile's call sites");
	}
	for (size_t i = 0; r >= 0 && i < application->n_targets; i++)
		r = driver_add_target(&guard->driver, number, &application->targets[i], err);
	for (size_t i = 0; r >= 0 && i < application->n_targets; i++)
		r = start_target(guard, number, &application->targets[i], err);
	if (r >= 0)
		r = driver_adopt(&guard->driver, PENDING_ATTACH, NULL, NULL);
	if (r >= 0 && guard->application[number].endless) {
		r = driver_seed(&guard->driver, SEED_MATCHING, number, 0, PENDING_ATTACH, NULL, NULL);
		if (r < 0)
			errmsg_errno(err, r, NULL, "cannot watch the processes that are running");
	}
	if (r < 0) {
		guard_remove_application(guard, number - 1);
		return r;
	}
	set_timer(guard);
	*ret_application = number - 1;
	return 0;
}

int guard_replace_image(struct guard *guard, unsigned application, const struct image *image,
			const struct policy *policy, struct errmsg *err)
{
	unsigned number = application + 1;
	struct guarded_application *kernel = &guard->kernel[number];
	uint32_t slot;
	int r;

	if (!is_application(guard, number))
		return errmsg_set(err, -ENOENT, NULL, 0, "there is no such application");
	slot = !kernel->slot;
	drop_image(guard, GUARD_SLOT(number, slot));
	kernel->policy[slot] = *policy;
	policy_arm(&kernel->policy[slot], image->header, ++guard->generation);
	r = put_image(guard, GUARD_SLOT(number, slot), image);
	if (r < 0)
		return errmsg_errno(err, r, NULL, "the kernel does not take the profile's image");
	__atomic_store_n(&kernel->slot, slot, __ATOMIC_RELEASE);
	return 0;
}

int guard_set_sample(struct guard *guard, unsigned application, unsigned sample)
{
	if (!is_application(guard, application + 1))
		return -ENOENT;
	guard->kernel[application + 1].sample = power_of_two(sample);
	return set_timer(guard);
}

int guard_remove_application(struct guard *guard, unsigned application)
{
	unsigned number = application + 1;
	int r;

	if (!is_application(guard, number))
		return -ENOENT;
	r = driver_remove_targets(&guard->driver, number);
	/* This waits for the programs that still go by the targets and may be making a thread for them. */
	drop_image(guard, GUARD_SLOT(number, 0));
	drop_image(guard, GUARD_SLOT(number, 1));
	if (driver_seed(&guard->driver, SEED_RELEASE, number, 0, 0, NULL, NULL) < 0)
		r = -EIO;
	drop_sites(guard, number);
	guard->application[number].used = false;
	return r;
}

int guard_fd(const struct guard *guard)
{
	return guard->epoll;
}

static void add_counters(struct guarded_counters *sum, const struct guarded_counters *counters)
{
	uint64_t *to = (uint64_t *)sum;
	const uint64_t *from = (const uint64_t *)counters;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
		to[i] += from[i];
}

/* Adds the counters of the living threads of all applications to sums[], by number. */
static int take_tally(struct guard *guard, struct guarded_counters *sums)
{
	_cleanup_close_ int iterator = bpf_iter_create(bpf_link__fd(guard->bpf->links.tally));
	struct guard_tally tally[64];

	if (iterator < 0)
		return -errno;
	for (;;) {
		ssize_t size = read(iterator, tally, sizeof(tally));

		if (size < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (size <= 0)
			return size < 0 ? -errno : 0;
		for (size_t i = 0; i < (size_t)size / sizeof(*tally); i++)
			if (is_application(guard, tally[i].application))
				add_counters(&sums[tally[i].application], &tally[i].counters);
	}
}

static void update_stats(struct guard *guard)
{
	struct guarded_counters sums[DRIVER_APPLICATIONS + 1];
	uint64_t missed = driver_misses(&guard->driver, NULL);

	/* A thread that ends between the two readings is in neither: counts may lag, never lead. */
	for (unsigned i = 0; i <= DRIVER_APPLICATIONS; i++)
		sums[i] = guard->kernel[i].totals;
	if (take_tally(guard, sums) < 0)
		return;
	for (unsigned i = 1; i <= DRIVER_APPLICATIONS; i++) {
		const struct guarded_application *kernel = &guard->kernel[i];
		struct guard_stats *stats = &guard->application[i].last;

		stats->calls = MAX(stats->calls, sums[i].calls);
		stats->cost = MAX(stats->cost, sums[i].cost);
		stats->alarms = MAX(stats->alarms, sums[i].alarms);
		stats->closed = MAX(stats->closed, sums[i].closed);
		stats->foreign = MAX(stats->foreign, sums[i].foreign);
		stats->unknown_origins = MAX(stats->unknown_origins, sums[i].unknown_origins);
		stats->unknown_sites = MAX(stats->unknown_sites, sums[i].unknown_sites);
		stats->lost_alarms = MAX(stats->lost_alarms, sums[i].lost_alarms);
		stats->lost_samples = MAX(stats->lost_samples, sums[i].lost_samples);
		stats->lost_unforeseen = MAX(stats->lost_unforeseen, sums[i].lost_unforeseen);
		stats->missing_modules = guard->application[i].missing_modules;
		stats->refused = guard->driver.shared->refused;
		stats->missed = missed;
		stats->ended = kernel->ended;
		stats->started = kernel->started;
		stats->threads = stats->started - MIN(stats->ended, stats->started);
		stats->generation = kernel->policy[kernel->slot].generation;
	}
}

void guard_stats(struct guard *guard, unsigned application, struct guard_stats *ret_stats)
{
	*ret_stats = (struct guard_stats){ 0 };
	if (!is_application(guard, application + 1))
		return;
	update_stats(guard);
	*ret_stats = guard->application[application + 1].last;
}

static void summarise(struct guard *guard, const struct guard_callbacks *callbacks)
{
	update_stats(guard);
	for (unsigned i = 1; i <= DRIVER_APPLICATIONS; i++)
		if (guard->application[i].used)
			callbacks->summary(callbacks->data, i - 1, &guard->application[i].last);
}

/* Waits for commands; true if an application may still do something. */
static bool is_going_on(struct guard *guard, bool threads)
{
	bool going_on = threads;

	for (unsigned i = 1; i <= DRIVER_APPLICATIONS; i++) {
		struct application *application = &guard->application[i];

		if (!application->used)
			continue;
		going_on |= application->endless;
		if (application->command && !application->ended) {
			pid_t pid;

			do
				pid = waitpid(application->command, &application->status, threads ? WNOHANG : 0);
			while (pid < 0 && errno == EINTR);
			application->ended = pid != 0;
		}
	}
	return going_on;
}

int guard_dispatch(struct guard *guard, const struct guard_callbacks *callbacks, struct errmsg *err)
{
	bool threads = driver_has_threads(&guard->driver);
	uint64_t expirations, time;
	int r;

	if (read(guard->timer, &expirations, sizeof(expirations)) < 0 && errno != EAGAIN)
		return errmsg_errno(err, -errno, NULL, "cannot wait");
	r = check_command(guard, err);
	if (r < 0)
		return r;
	guard->callbacks = callbacks;
	r = driver_tend(&guard->driver);
	if (r >= 0)
		r = ring_buffer__consume(guard->rings);
	guard->callbacks = NULL;
	if (r < 0)
		return errmsg_errno(err, r, NULL, "cannot read what the driver says");
	time = clock_ns();
	if (callbacks->summary && time >= guard->summary_due) {
		summarise(guard, callbacks);
		guard->summary_due = time + SUMMARY_NS;
	}
	return is_going_on(guard, threads);
}

pid_t guard_command(const struct guard *guard, unsigned application)
{
	return is_application(guard, application + 1) ? guard->application[application + 1].command : 0;
}

int guard_exit_status(const struct guard *guard, unsigned application, int *ret_status)
{
	if (!is_application(guard, application + 1) || !guard->application[application + 1].command)
		return -ENOENT;
	if (!guard->application[application + 1].ended)
		return -EAGAIN;
	*ret_status = guard->application[application + 1].status;
	return 0;
}

struct guard *guard_close(struct guard *guard)
{
	if (guard) {
		ring_buffer__free(guard->rings);
		guard_bpf__destroy(guard->bpf);
		driver_done(&guard->driver);
		closep(&guard->timer);
		closep(&guard->epoll);
		free(guard);
	}
	return NULL;
}
