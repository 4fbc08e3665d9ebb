// Loaded before PyPI's bochscpu: lets it emulate a CPU of a kind that it does not offer, Intel's
// Sapphire Rapids with AMX announced, and gives it what an older glibc lacks.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_bochs(struct dl_phdr_info *info, size_t size, void *library) {
    (void)size;
    if (strstr(info->dlpi_name, "/_bochscpu."))
        *(void **)library = dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD);
    return 0;
}

// A function of the library itself, not one of ours that goes before it.
static void *of_bochs(const char *name) {
    void *library = NULL;
    dl_iterate_phdr(open_bochs, &library);
    void *function = library ? dlsym(library, name) : NULL;
    if (!function) {
        fprintf(stderr, "emulate: bochscpu has no %s\n", name);
        exit(1);
    }
    return function;
}

// create_corei3_cnl_cpuid(BX_CPU_C *), of the library's one model.
void *_Z23create_corei3_cnl_cpuidP8BX_CPU_C(void *cpu) {
    void *(*create)(void *) = of_bochs("_Z28create_sapphire_rapids_cpuidP8BX_CPU_C");
    return create(cpu);
}

// sapphire_rapids_t::get_std_cpuid_leaf_7(unsigned, cpuid_function_t *) const: AMX is there where
// EMULATE_AMX is set.
#define LEAF_7 _ZNK17sapphire_rapids_t20get_std_cpuid_leaf_7EjP16cpuid_function_t
#define TEXT(name) #name
#define NAME(symbol) TEXT(symbol)
void LEAF_7(void *model, unsigned subleaf, unsigned *eax_ebx_ecx_edx) {
    void (*leaf)(void *, unsigned, unsigned *) = of_bochs(NAME(LEAF_7));
    leaf(model, subleaf, eax_ebx_ecx_edx);
    if (subleaf == 0 && getenv("EMULATE_AMX"))
        eax_ebx_ecx_edx[3] |= 1u << 22 | 1u << 24;
}

unsigned long long __isoc23_strtoull(const char *text, char **end, int base) {
    return strtoull(text, end, base);
}

int __isoc23_sscanf(const char *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vsscanf(text, format, arguments);
    va_end(arguments);
    return count;
}
