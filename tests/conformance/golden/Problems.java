import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.util.*;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.connect.runtime.ConnectorConfig;
import org.apache.kafka.connect.runtime.SinkConnectorConfig;
import org.apache.kafka.connect.runtime.SourceConnectorConfig;
import org.apache.kafka.connect.runtime.isolation.Plugins;

/** Validates connector configurations as a Kafka Connect herder does and writes what it finds. */
public class Problems {
    public static void main(String[] args) throws Exception {
        ObjectMapper mapper = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);
        Plugins plugins = new Plugins(Map.of("plugin.discovery", "service_load"));
        Thread.currentThread().setContextClassLoader(plugins.delegatingLoader());
        ArrayNode cases = (ArrayNode) mapper.readTree(new File(args[0]));
        for (JsonNode each : cases) {
            Map<String, String> config = new TreeMap<>();
            each.get("config").fields().forEachRemaining(e -> config.put(e.getKey(), e.getValue().isNull() ? null : e.getValue().asText()));
            boolean sink = each.get("kind").asText().equals("sink");
            String cls = "org.apache.kafka.connect.file.FileStream" + (sink ? "Sink" : "Source") + "Connector";
            ObjectNode problems = ((ObjectNode) each).putObject("problems");
            try {
                ConfigDef def = sink ? SinkConnectorConfig.enrichedConfigDef(plugins, cls) : SourceConnectorConfig.enrichedConfigDef(plugins, cls);
                def = ConnectorConfig.enrich(plugins, def, config, false);
                Map<String, ConfigValue> values = def.validateAll(config);
                if (sink) SinkConnectorConfig.validate(config, values);
                for (ConfigValue value : values.values()) {
                    if (value.errorMessages().isEmpty()) continue;
                    ArrayNode messages = problems.putArray(value.name());
                    value.errorMessages().forEach(messages::add);
                }
            } catch (Exception e) {
                problems.putArray("").add(e.getClass().getSimpleName() + ": " + e.getMessage());
            }
        }
        mapper.writeValue(new File(args[1]), cases);
    }
}
