/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The floor: what it costs to run any program at every call. */
#include "sensor/kernel.bpf.h"

SEC("tp_btf/sys_enter")
int BPF_PROG(nothing, struct pt_regs *regs, long id)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
