# on_processor.sh ROOT FOLDER PROCESSOR PROGRAM ...: run a program of an image's root on an emulated processor.
#
# In a mount namespace of its own: FOLDER takes what is written over ROOT, which stays as it is.
set -eu
root=$1 folder=$2 processor=$3
shift 3
qemu=$(command -v qemu-x86_64)
mkdir -p "$folder/up" "$folder/work" "$folder/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$folder/up,workdir=$folder/work" "$folder/root"
for file in "$qemu" $(ldd "$qemu" | grep -o '/[^ ]*'); do
    [ -e "$folder/root$file" ] || { mkdir -p "$folder/root$(dirname "$file")" && cp "$file" "$folder/root$file"; }
done
mount --rbind /proc "$folder/root/proc"
mount --rbind /dev "$folder/root/dev"
exec chroot "$folder/root" "$qemu" -cpu "$processor" "$@"
