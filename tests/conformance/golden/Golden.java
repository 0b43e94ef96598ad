import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.math.BigDecimal;
import java.util.*;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.data.*;
import org.apache.kafka.connect.runtime.SinkConnectorConfig;
import org.apache.kafka.connect.runtime.SourceConnectorConfig;
import org.apache.kafka.connect.runtime.isolation.Plugins;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;

/** Runs the cases of a file through the real converters and writes the cases with their results. */
public class Golden {
    static final ObjectMapper MAPPER = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        MAPPER.enable(SerializationFeature.INDENT_OUTPUT);
        ArrayNode cases = (ArrayNode) MAPPER.readTree(new File(args[0]));
        for (JsonNode each : cases) run((ObjectNode) each);
        MAPPER.writeValue(new File(args[1]), cases);
        ObjectNode configs = MAPPER.createObjectNode();
        Plugins plugins = new Plugins(Map.of("plugin.discovery", "service_load"));
        configs.set("source", keys(SourceConnectorConfig.enrichedConfigDef(plugins, "org.apache.kafka.connect.file.FileStreamSourceConnector")));
        configs.set("sink", keys(SinkConnectorConfig.enrichedConfigDef(plugins, "org.apache.kafka.connect.file.FileStreamSinkConnector")));
        MAPPER.writeValue(new File(args[2]), configs);
    }

    static ArrayNode keys(ConfigDef def) {
        ArrayNode all = MAPPER.createArrayNode();
        for (ConfigDef.ConfigKey key : def.configKeys().values()) {
            ObjectNode o = all.addObject();
            o.put("name", key.name).put("type", key.type.name()).put("required", !key.hasDefault());
            o.put("default", key.hasDefault() ? ConfigDef.convertToString(key.defaultValue, key.type) : null);
            o.put("importance", key.importance.name()).put("group", key.group).put("order", key.orderInGroup);
            o.put("width", key.width.name()).put("display_name", key.displayName);
        }
        return all;
    }

    static void run(ObjectNode each) throws Exception {
        ObjectNode result = each.putObject("result");
        try {
            Map<String, String> config = new HashMap<>();
            if (each.has("config")) each.get("config").fields().forEachRemaining(e -> config.put(e.getKey(), e.getValue().asText()));
            config.put("converter.type", "value");
            Class<?> type = Class.forName(each.get("class").asText());
            Object made = type.getDeclaredConstructor().newInstance();
            boolean header = each.get("side").asText().equals("header");
            if (header) { config.put("converter.type", "header"); ((HeaderConverter) made).configure(config); }
            else ((Converter) made).configure(config, false);
            if (each.has("write")) {
                JsonNode write = each.get("write");
                Schema schema = schema(write.get("schema"));
                Object value = value(write.get("value"), schema);
                byte[] bytes = header ? ((HeaderConverter) made).fromConnectHeader("t", "h", schema, value) : ((Converter) made).fromConnectData("t", schema, value);
                if (bytes == null) result.putNull("bytes"); else result.put("bytes", bytes);
            } else {
                byte[] bytes = each.get("read").isNull() ? null : each.get("read").binaryValue();
                SchemaAndValue read = header ? ((HeaderConverter) made).toConnectHeader("t", "h", bytes) : ((Converter) made).toConnectData("t", bytes);
                if (read == null) read = SchemaAndValue.NULL;
                result.set("schema", describe(read.schema()));
                result.set("value", describeValue(read.value()));
            }
        } catch (Throwable t) {
            result.removeAll();
            result.put("error", t.getClass().getSimpleName());
            result.put("message", t.getMessage());
        }
    }

    static Schema schema(JsonNode n) {
        if (n == null || n.isNull()) return null;
        Schema.Type type = Schema.Type.valueOf(n.get("type").asText());
        SchemaBuilder b;
        switch (type) {
            case ARRAY: b = SchemaBuilder.array(schema(n.get("value"))); break;
            case MAP: b = SchemaBuilder.map(schema(n.get("key")), schema(n.get("value"))); break;
            default: b = SchemaBuilder.type(type);
        }
        if (n.has("fields")) for (JsonNode f : n.get("fields")) b.field(f.get(0).asText(), schema(f.get(1)));
        if (n.has("name")) b.name(n.get("name").asText());
        if (n.has("version")) b.version(n.get("version").asInt());
        if (n.has("doc")) b.doc(n.get("doc").asText());
        if (n.has("parameters")) n.get("parameters").fields().forEachRemaining(e -> b.parameter(e.getKey(), e.getValue().asText()));
        if (n.has("optional") && n.get("optional").asBoolean()) b.optional();
        if (n.has("default")) b.defaultValue(value(n.get("default"), b));
        return b.build();
    }

    static ObjectNode describe(Schema s) {
        if (s == null) return null;
        ObjectNode o = MAPPER.createObjectNode();
        o.put("type", s.type().name());
        if (s.type() == Schema.Type.MAP) o.set("key", describe(s.keySchema()));
        if (s.type() == Schema.Type.MAP || s.type() == Schema.Type.ARRAY) o.set("value", describe(s.valueSchema()));
        if (s.type() == Schema.Type.STRUCT) {
            ArrayNode fields = o.putArray("fields");
            for (Field f : s.fields()) { ArrayNode pair = fields.addArray(); pair.add(f.name()); pair.add(describe(f.schema())); }
        }
        if (s.name() != null) o.put("name", s.name());
        if (s.version() != null) o.put("version", s.version());
        if (s.doc() != null) o.put("doc", s.doc());
        if (s.parameters() != null && !s.parameters().isEmpty()) { ObjectNode p = o.putObject("parameters"); s.parameters().forEach(p::put); }
        if (s.isOptional()) o.put("optional", true);
        if (s.defaultValue() != null) o.set("default", describeValue(s.defaultValue()));
        return o;
    }

    static Object value(JsonNode n, Schema schema) {
        if (n == null || n.isNull()) return null;
        Map.Entry<String, JsonNode> e = n.fields().next();
        JsonNode v = e.getValue();
        switch (e.getKey()) {
            case "boolean": return v.asBoolean();
            case "int8": return (byte) v.asInt();
            case "int16": return (short) v.asInt();
            case "int32": return v.asInt();
            case "int64": return Long.parseLong(v.asText());
            case "float": return Float.parseFloat(v.asText());
            case "double": return Double.parseDouble(v.asText());
            case "string": return v.asText();
            case "bytes": try { return v.binaryValue(); } catch (Exception x) { throw new RuntimeException(x); }
            case "decimal": return new BigDecimal(v.asText());
            case "date": case "time": case "timestamp": return new java.util.Date(v.asLong());
            case "array": { List<Object> l = new ArrayList<>(); for (JsonNode i : v) l.add(value(i, schema == null ? null : schema.valueSchema())); return l; }
            case "map": { Map<Object, Object> m = new LinkedHashMap<>(); for (JsonNode i : v) m.put(value(i.get(0), schema == null ? null : schema.keySchema()), value(i.get(1), schema == null ? null : schema.valueSchema())); return m; }
            case "struct": { Struct s = new Struct(schema); for (JsonNode i : v) s.put(i.get(0).asText(), value(i.get(1), schema.field(i.get(0).asText()).schema())); return s; }
            default: throw new IllegalArgumentException(e.getKey());
        }
    }


    static JsonNode describeValue(Object v) {
        if (v == null) return MAPPER.nullNode();
        ObjectNode o = MAPPER.createObjectNode();
        if (v instanceof Boolean) o.put("boolean", (Boolean) v);
        else if (v instanceof Byte) o.put("int8", (Byte) v);
        else if (v instanceof Short) o.put("int16", (Short) v);
        else if (v instanceof Integer) o.put("int32", (Integer) v);
        else if (v instanceof Long) o.put("int64", v.toString());
        else if (v instanceof Float) o.put("float", v.toString());
        else if (v instanceof Double) o.put("double", v.toString());
        else if (v instanceof String) o.put("string", (String) v);
        else if (v instanceof byte[]) o.put("bytes", (byte[]) v);
        else if (v instanceof BigDecimal) o.put("decimal", v.toString());
        else if (v instanceof java.util.Date) o.put("date", ((java.util.Date) v).getTime());
        else if (v instanceof List) { ArrayNode a = o.putArray("array"); for (Object i : (List<?>) v) a.add(describeValue(i)); }
        else if (v instanceof Map) { ArrayNode a = o.putArray("map"); for (Map.Entry<?, ?> i : ((Map<?, ?>) v).entrySet()) { ArrayNode p = a.addArray(); p.add(describeValue(i.getKey())); p.add(describeValue(i.getValue())); } }
        else if (v instanceof Struct) { Struct s = (Struct) v; ArrayNode a = o.putArray("struct"); for (Field f : s.schema().fields()) { ArrayNode p = a.addArray(); p.add(f.name()); p.add(describeValue(s.get(f))); } }
        else throw new IllegalArgumentException(v.getClass().getName());
        return o;
    }
}
