import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

/** Prints way, name, size and CRC of each entry of a zip, read as a stream and as a file. */
class ReadZips {
    public static void main(String[] paths) throws IOException {
        for (String path : paths) {
            readStream(Path.of(path));
            readFile(path);
        }
    }

    private static void readStream(Path path) throws IOException {
        try (ZipInputStream zip = new ZipInputStream(Files.newInputStream(path))) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                print("stream", entry, zip);
            }
        }
    }

    private static void readFile(String path) throws IOException {
        try (ZipFile zip = new ZipFile(path)) {
            for (ZipEntry entry : Collections.list(zip.entries())) {
                try (InputStream content = zip.getInputStream(entry)) {
                    print("file", entry, content);
                }
            }
        }
    }

    private static void print(String way, ZipEntry entry, InputStream content) throws IOException {
        CRC32 crc = new CRC32();
        byte[] buffer = new byte[1 << 16];
        long size = 0;
        for (int read = content.read(buffer); read >= 0; read = content.read(buffer)) {
            crc.update(buffer, 0, read);
            size += read;
        }
        System.out.println(way + " " + size + " " + crc.getValue() + " " + entry.getName());
    }
}
