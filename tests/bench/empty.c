/*
 * The start-up baseline: a program that does nothing, linked with every library hostler is linked with.
 * What it costs is the dynamic linker's work and the libraries' own constructors.
 */
int main(void) {
    return 0;
}
